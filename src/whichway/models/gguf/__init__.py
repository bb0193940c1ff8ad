"""GGUF files: `convert` turns one into a model folder that every other part of the package can open."""

from whichway.models.gguf.convert import VERSION, convert, is_gguf

__all__ = ["VERSION", "convert", "is_gguf"]
