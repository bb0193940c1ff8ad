"""Backends: access to models, one file each. A file here with a function `backend()` is found by its name."""
