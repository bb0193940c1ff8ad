"""GGUF files: `convert` turns one into a model folder that every other part of the package can open."""

from whichway.models.gguf.conversion import convert, is_gguf

__all__ = ["convert", "is_gguf"]
