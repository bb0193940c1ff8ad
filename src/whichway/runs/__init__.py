"""The run folder: what writes it and what reads it."""
