"""Models: where weights come from, and how a file of another format becomes a model folder."""
