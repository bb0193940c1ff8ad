"""A sentence encoder or a language model with its head as one ONNX graph; `use.py` runs it in ONNX Runtime."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from whichway.engine.model.load import quiet
from whichway.errors import UserError
from whichway.ship.forms import Export
from whichway.ship.forms._onnx_export import write_onnx
from whichway.ship.forms._onnx_head import write_head
from whichway.ship.forms._prompt_files import MODULE
from whichway.ship.forms._winners import HEAD
from whichway.ship.forms.encoder_folder import LONGEST, write_encoder
from whichway.ship.source import ShipSource
from whichway.ship.written_files import program, write_file
from whichway.training_kinds import stored_as

NAME = "onnx"
SUMMARY = "encoder or language model with its head as model.onnx, with use.py for ONNX Runtime"
RUNTIME = "onnx"
_PACKAGES = ("onnx", "onnxscript")


def fits(source: ShipSource) -> str:
    """Heads on encoders and on whole language models do, where the exporter's packages are here."""
    weights = source.candidate.weights
    if not stored_as(weights.kind, "encoder") and weights.kind != HEAD:
        return "only heads over labels, on an encoder or on a whole language model, are exported as ONNX graphs"
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    return f"{' and '.join(missing)} are not installed: pip install 'whichway[onnx]'" if missing else ""


def write(export: Export, folder: Path) -> None:
    """Write graph, tokenizer, labels, program."""
    if export.source.candidate.weights.kind == HEAD:
        write_head(export, folder)
        return
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.encoder-", dir=folder.parent) as place:
        write_encoder(export, Path(place))
        if not (Path(place) / "tokenizer.json").is_file():
            raise UserError("the encoder has no tokenizer.json, which ONNX Runtime's users need; ship it as encoder")
        shutil.copyfile(Path(place) / "tokenizer.json", folder / "tokenizer.json")
        longest = export_graph(Path(place), folder / "model.onnx")
        description = json.loads((Path(place) / "head.json").read_text(encoding="utf-8"))
        write_file(folder / "head.json", {**description, "longest": longest})
    write_file(folder / "use.py", program("standalone_onnx.py"))
    write_file(folder / MODULE, program(MODULE))


def export_graph(place: Path, file: Path) -> int:
    """Export encoder and head; the tokens of a row that are read.

    Args:
        place: an encoder's folder, with its head.
        file: to write.
    """
    import torch
    from transformers import AutoModel

    options: dict[str, Any] = {"use_safetensors": True, "attn_implementation": "eager", "local_files_only": True}
    with quiet():
        encoder = AutoModel.from_pretrained(place, **options).float().eval()
    graph = _graph(encoder, place)
    ids, sizes = torch.ones(2, 7, dtype=torch.int64), {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    write_onnx(graph, (ids, torch.ones_like(ids)), file, ("input_ids", "attention_mask"), (sizes, sizes))
    return int(min(getattr(encoder.config, "max_position_embeddings", None) or LONGEST, LONGEST))


def _graph(encoder: Any, place: Path) -> Any:
    """Token ids and mask in, the labels' log-probabilities out, as a module."""
    import torch
    from safetensors.torch import load_file

    parts = load_file(place / "head.safetensors")
    sets = json.loads((place / "head.json").read_text(encoding="utf-8")).get("sets")

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            for name, part in parts.items():
                self.register_buffer(f"head_{name}", part)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            features = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
            if "mean" in parts:
                features = (features - self.head_mean) / self.head_scale
            logits = features @ self.head_weight.T + self.head_bias
            return logits.log_softmax(-1) if sets is None else torch.nn.functional.logsigmoid(logits)

    return Graph().eval()


def use(source: ShipSource) -> Sequence[str]:
    """How it is started."""
    return (
        f"`use.py` needs `onnxruntime` and `{'transformers' if source.asks else 'tokenizers'}`, not whichway or torch:",
        "",
        "```",
        "python use.py < rows.txt",
        "```",
    )
