"""A model on this machine: opened, laid out in memory, run forward."""
