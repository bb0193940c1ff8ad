"""A language model with a head over the labels as one ONNX graph: token ids of a prompt in, scores of the labels out.

The graph reads one prompt at a time, of any length: nothing is padded, and the mask is part of it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from whichway.engine.model.load import quiet
from whichway.ship.forms import Export
from whichway.ship.forms._merged_weights import named_ends, write_merged
from whichway.ship.forms._onnx_export import write_onnx
from whichway.ship.forms._prompt_files import MODULE
from whichway.ship.forms._winners import base_folder
from whichway.ship.prompts import prompt_files
from whichway.ship.written_files import CHAT_TEXT, ENCODER_FILES, program, write_file

_TOKENIZER = (*(name for name in ENCODER_FILES if "safetensors" not in name), "*.jinja")
_LONGEST = 2048  # tokens of a prompt, where the model does not say


def write_head(export: Export, folder: Path) -> None:
    """Write graph, tokenizer, prompt, labels, program.

    Raises:
        UserError: torch cannot export this architecture.
        ModelError: the base is not there, or has changed.
    """
    source = export.source
    base = base_folder(source)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.merged-", dir=folder.parent) as place:
        write_merged(source, Path(place))
        labels, longest = export_graph(Path(place), folder / "model.onnx")
    write_file(folder / "head.json", {"labels": labels, "longest": longest, "ends": named_ends(base)})
    (folder / "tokenizer").mkdir()
    for file in sorted(path for pattern in _TOKENIZER for path in base.glob(pattern)):
        shutil.copyfile(file, folder / "tokenizer" / file.name)
    for name, content in prompt_files(source.candidate).items():
        write_file(folder / name, content)
    write_file(folder / "chat_text.py", CHAT_TEXT.read_text(encoding="utf-8"))
    write_file(folder / MODULE, program(MODULE))
    write_file(folder / "use.py", program("standalone_onnx_head.py"))


def export_graph(place: Path, file: Path) -> tuple[list[str], int]:
    """Export a merged model with its head; its labels in the order of the scores, and the longest prompt in tokens.

    Args:
        place: the merged model's folder.
        file: to write.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    options: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": "eager", "local_files_only": True}
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(place, **options).eval()
    sizes = {1: torch.export.Dim.DYNAMIC}
    write_onnx(_graph(model), (torch.ones(1, 7, dtype=torch.int64),), file, ("input_ids",), (sizes,))
    labels = [str(model.config.id2label[number]) for number in range(model.config.num_labels)]
    return labels, int(getattr(model.config, "max_position_embeddings", None) or _LONGEST)


def _graph(model: Any) -> Any:
    """Token ids in, the labels' log-probabilities out, as a module."""
    import torch

    config = model.config
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    lowest = torch.finfo(torch.float32).min

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = model.base_model, model.score

        def forward(self, input_ids: Any) -> Any:
            size = input_ids.shape[1]
            mask: Any = torch.full((size, size), lowest).triu(1)[None, None]
            if slides:
                far = torch.full((size, size), lowest).tril(-int(config.sliding_window))[None, None]
                mask = {"full_attention": mask, "sliding_attention": torch.minimum(mask, far)}
            states = self.body(input_ids=input_ids, attention_mask=mask, use_cache=False).last_hidden_state
            return self.head(states[:, -1]).log_softmax(-1)

    return Graph().eval()
