"""A language model with a head leaves as an ONNX graph that answers as measured; faults in it are caught."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults_kit import sign
from ship_kit import TUNED, contest, data

from whichway.app.configure import backends
from whichway.errors import UserError
from whichway.ship import CheckOptions, pick, ship
from whichway.ship.forms import Export, known
from whichway.ship.parity import Reference, check

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

HEAD = {"tune_head": {**TUNED["tune_head"], "epochs": 4, "rate": 0.03}}


def _labels(folder: Path) -> None:
    head = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps({**head, "labels": head["labels"][::-1]}))


def _template(folder: Path) -> None:
    file = folder / "tokenizer" / "tokenizer_config.json"
    place = folder / "tokenizer" / "chat_template.jinja"
    if place.is_file():
        place.write_text(place.read_text().replace("user", "human"))
    settings = json.loads(file.read_text())
    if "chat_template" in settings:
        file.write_text(json.dumps({**settings, "chat_template": settings["chat_template"] + " "}))
    if "{{" in (text := place.read_text() if place.is_file() else ""):
        place.write_text("x" + text)


def _stale_prompt(folder: Path) -> None:
    file = folder / "messages.json"
    prompt = json.loads(file.read_text())
    prompt["messages"][0]["content"] += " Answer politely."
    file.write_text(json.dumps(prompt))


def _weights(folder: Path) -> None:
    """Weights of an adapter that was not merged: one product of the graph is another."""
    from onnx import numpy_helper

    graph = onnx.load(folder / "model.onnx")
    for part in graph.graph.initializer:
        if len(part.dims) == 2 and min(part.dims) > 8:
            part.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(part) * 0.5, part.name))
    onnx.save(graph, folder / "model.onnx")


def _truncated(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("gpt2", "qwen3", "gemma")]


@pytest.mark.parametrize("kind", ["llama", *OTHERS])
def test_a_head_on_a_language_model_leaves_as_onnx(kind: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    run = contest(data(tmp_path), tiny(kind), HEAD)
    done = ship(run, tmp_path / "out", way="tune_head", backends=backends(), forms=("onnx",), check=CheckOptions(12))
    (clean,) = done.checks
    assert (clean.status, clean.problems) == ("ok", ())
    assert (clean.rows, clean.agree, clean.rendered) == (12, 12, 12)
    assert clean.score_gap is not None
    assert clean.score_gap < 1e-3
    assert "torch" not in (tmp_path / "out" / "use.py").read_text().replace("no torch", "")
    reference = Reference(Export(pick(run, way="tune_head"), run, backends()), CheckOptions(12))
    several = (_labels,) if kind == "llama" else (_labels, _template, _stale_prompt, _weights, _truncated)
    for number, plant in enumerate(several):  # each starts a process
        folder = tmp_path / f"fault{number}"
        shutil.copytree(tmp_path / "out", folder)
        plant(folder)
        sign(folder)
        (report,) = check(known()["onnx"], folder, reference)
        assert report.status == "failed", plant.__name__


def test_a_model_that_cannot_be_exported_is_said_to_be_so(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def broken(*args: Any, **more: Any) -> None:
        raise RuntimeError("no decomposition of this")

    run = contest(data(tmp_path), tiny("llama"), {"tune_head": TUNED["tune_head"]})
    monkeypatch.setattr(torch.onnx, "export", broken)
    with pytest.raises(UserError, match=r"torch cannot export this model .*no decomposition of this"):
        run.ship(tmp_path / "out", way="tune_head", form="onnx")
    assert not (tmp_path / "out").exists()
