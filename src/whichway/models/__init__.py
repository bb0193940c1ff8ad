"""What a user's word for a model means: a shelf by short names, folders, GGUF files, stores of other programs."""

from __future__ import annotations

from whichway.models.resolve import default, default_encoder, find, here, name_of

__all__ = ["default", "default_encoder", "find", "here", "name_of"]
