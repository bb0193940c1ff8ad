"""A module of torch as an ONNX graph."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whichway.engine.model.load import quiet
from whichway.errors import UserError

_OPSET = 18
_ONE_FILE = 1_500_000_000  # bytes of weights; a file of the format holds 2 GB at most


def write_onnx(module: Any, inputs: Sequence[Any], file: Path, names: Sequence[str], shapes: Sequence[Any]) -> None:
    """Write a module whose one result is `scores`; large weights lie in a file of their own beside it.

    Args:
        module: in evaluation.
        inputs: of an example.
        file: to write.
        names: of the inputs.
        shapes: which of their sizes are free.

    Raises:
        UserError: torch cannot export it.
    """
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of packages for images
    size = sum(part.numel() * part.element_size() for part in module.parameters())
    try:
        with quiet():
            torch.onnx.export(
                module, tuple(inputs), str(file), dynamo=True, external_data=size > _ONE_FILE, opset_version=_OPSET,
                input_names=list(names), output_names=["scores"], dynamic_shapes=tuple(shapes), verbose=False,
            )  # fmt: skip
    except Exception as error:  # foreign code, and whatever an architecture makes of it
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"torch cannot export this model as an ONNX graph ({type(error).__name__}: {reason}). Ship it as folder or "
            "merged instead."
        ) from error
