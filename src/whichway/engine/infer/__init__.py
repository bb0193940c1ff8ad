"""How a model on this machine answers."""
