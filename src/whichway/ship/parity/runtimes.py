"""How each form is started: the program, the Python that has its libraries, and how exact its arithmetic is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.errors import ModelError
from whichway.nouns import to_json
from whichway.ship.forms import ShipForm
from whichway.ship.parity.reference import PROBED, Reference
from whichway.ship.parity.run_program import python_with, run_program
from whichway.training_kinds import KINDS

EXACT, HALF, EIGHT_BITS = 0.05, 0.1, 1.0  # how far a label's log-probability may go: float32, float16, Q8_0


@dataclass(frozen=True, slots=True)
class Started:
    """What an exported thing did, or why it was not started."""

    part: str = ""  # a file, where a form has several
    result: Mapping[str, Any] | None = None
    missing: str = ""  # why it was not started
    room: float = EXACT  # how far scores may go
    rounded: bool = False  # whether the weights are rounded so that answers may part at near ties


Runtime = Callable[[ShipForm, Path, Reference], Iterator[Started]]


def job_of(folder: Path, reference: Reference) -> dict[str, Any]:
    """What programs are told of a language model's rows."""
    decoding = reference.candidate.decoding
    job = {
        "folder": str(folder.resolve()),
        "rows": [row.raw for row in reference.rows],
        "texts": [row.text for row in reference.rows],
        "probed": PROBED,
        "choose": reference.chooses,
        "write": decoding.votes == 1 and decoding.temperature == 0 and not reference.chooses,
        "bias": dict(decoding.bias) if reference.chooses else {},
        "max_tokens": decoding.max_tokens,
        "asks": reference.source.asks,
        "sets": reference.weights.kind in KINDS and KINDS[reference.weights.kind].sets,
        "prompted": bool(reference.prompts) if reference.source.asks else False,
        "threads": max(1, int(os.environ.get("OMP_NUM_THREADS") or 0) or (os.cpu_count() or 1)),
    }
    if reference.weights.backend == "local":
        job |= {"base": str(reference.base_folder), "answers": reference.answers, "closing": reference.closing}
    return job


def _use(form: ShipForm, folder: Path, reference: Reference) -> Iterator[Started]:
    if not (folder / "use.py").is_file():
        weights = reference.weights
        what = f"a {weights.kind} of {weights.base}" if weights.adapter else f"'{weights.base}'"
        yield Started(missing=f"no runtime but whichway itself answers with {reference.source.classical or what}")
        return
    yield Started(result=run_program("in_use", job_of(folder, reference)))


def _transformers(form: ShipForm, folder: Path, reference: Reference) -> Iterator[Started]:
    yield Started(result=run_program("in_transformers", job_of(folder, reference)))


def _llama_cpp(form: ShipForm, folder: Path, reference: Reference) -> Iterator[Started]:
    python = python_with("llama_cpp", reference.options)
    if python is None:
        yield Started(missing=_lacks("llama-cpp-python"))
        return
    job = job_of(folder, reference)
    answers = max(len(ids) for ids in reference.answers.values())
    longest = max((len(ids) for ids in reference.prompts), default=0)
    job["context"] = longest + max(answers, 0 if reference.chooses else int(job["max_tokens"])) + 16
    adapter = folder / "adapter.gguf"
    if adapter.is_file():
        job["adapter"] = str(adapter.resolve())
    for file in sorted(folder.glob("*-*.gguf")):
        rounded = "Q8_0" in file.name
        result = run_program("in_llama_cpp", {**job, "file": str(file.resolve())}, python)
        part = f"{file.name} + {adapter.name}" if adapter.is_file() else file.name
        yield Started(part, result, room=EIGHT_BITS if rounded else HALF, rounded=rounded)


def _onnx(form: ShipForm, folder: Path, reference: Reference) -> Iterator[Started]:
    python = python_with("onnxruntime", reference.options)
    if python is None:
        yield Started(missing=_lacks("onnxruntime"))
        return
    yield Started(result=run_program("in_onnx", job_of(folder, reference), python))


def _sentence_transformers(form: ShipForm, folder: Path, reference: Reference) -> Iterator[Started]:
    yield Started("use.py", run_program("in_use", job_of(folder, reference)))
    python = python_with("sentence_transformers", reference.options)
    if python is None:
        yield Started("sentence-transformers", missing=_lacks("sentence-transformers"))
        return
    yield Started("sentence-transformers", run_program("in_sentence_transformers", job_of(folder, reference), python))


def _messages(form: ShipForm, folder: Path, reference: Reference) -> Iterator[Started]:
    rows = [row.raw for row in reference.rows]
    yield Started(result=run_program("in_messages", {"folder": str(folder.resolve()), "form": form.NAME, "rows": rows}))


def _promptfoo(form: ShipForm, folder: Path, reference: Reference) -> Iterator[Started]:
    from whichway.ship.parity import in_promptfoo

    yield Started(**in_promptfoo.rendered(folder, reference))


def _ollama(form: ShipForm, folder: Path, reference: Reference) -> Iterator[Started]:
    from whichway.ship.parity import modelfile_prompts

    ids = modelfile_prompts.prompts(folder, reference)
    yield Started("Modelfile", {"prompts": ids, "runtime": "our reader of Modelfiles"})
    yield from _llama_cpp(form, folder, reference)


def _lacks(package: str) -> str:
    return f"{package} is not installed for {sys.executable}; name a Python that has it with --check-python"


RUNTIMES: Mapping[str, Runtime] = {
    "use": _use,
    "transformers": _transformers,
    "llama_cpp": _llama_cpp,
    "onnx": _onnx,
    "sentence_transformers": _sentence_transformers,
    "messages": _messages,
    "promptfoo": _promptfoo,
    "ollama": _ollama,
}


def started(form: ShipForm, folder: Path, reference: Reference) -> Iterator[Started]:
    """What each part of an exported folder did in its own runtime."""
    try:
        yield from RUNTIMES[form.RUNTIME](form, folder, reference)
    except ModelError as error:
        yield Started(missing=str(error))


def measured_messages(reference: Reference) -> list[list[dict[str, str]]]:
    """The messages that the contest asked, as programs give theirs."""
    return [[{"role": m["role"], "content": m["content"]} for m in to_json(row.messages)] for row in reference.rows]
