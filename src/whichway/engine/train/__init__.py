"""How a model on this machine learns."""
