"""A contest on a real tiny model in a process of its own, killed by SIGKILL at a named place.

Clocks stand still, so that everything a run leaves can be compared byte for byte. Training runs in the contest's own
process here, so that a kill takes both; a killed training process alone is a failed way (`test_engine_child.py`).
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from whichway.nouns import Example, MetricSpec, Task

WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
SAID = {"billing": "I was billed twice", "bill": "send me the bill", "shipping": "where is my parcel"}
WAYS: dict[str, dict[str, Any]] = {
    "prompt_plain": {},
    "tune_lora": {"epochs": 4, "steps": 1, "batch": 6, "factors": (1.6, 0.63, 4.0, 0.25)},
    "tune_bias": {"epochs": 2, "steps": 1, "batch": 6, "rate": 0.05},
}


def task() -> Task:
    """Thirty rows in each split."""
    words = (" ".join(three) for three in itertools.permutations(WORDS, 3))
    rows = [Example({"text": f"{next(words)}: {said}"}, label) for _ in range(30) for label, said in SAID.items()]
    labels = tuple(sorted(SAID))
    metric = MetricSpec("accuracy", {"labels": list(labels)})
    return Task("tiny", "Which team?", tuple(rows[:30]), tuple(rows[30:60]), tuple(rows[60:]), metric, labels)


def contest(place: Path, model: Path) -> None:
    """Hold it."""
    from whichway.backends.local import LocalBackend
    from whichway.contest import Components, Settings, run
    from whichway.tasks import metrics

    door = LocalBackend()
    ways = {name: importlib.import_module(f"whichway.ways.{name}") for name in WAYS}
    components = Components({"local": door}, ways, metrics.load(task().metric), door.weights(str(model)))
    run(task(), components, folder=place / "r", settings=Settings(WAYS, place / ".cache", seeds=(0, 1)))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at(count: int, owner: Any, name: str, before: bool = False) -> None:
    """Die at the `count`-th call of `owner.name`, before or after it."""
    honest, calls = getattr(owner, name), itertools.count(1)

    def watched(*given: Any, **named: Any) -> Any:
        last = next(calls) == count
        if last and before:
            _die()
        out = honest(*given, **named)
        if last:
            _die()
        return out

    setattr(owner, name, watched)


def _half_a_state(count: int) -> None:
    """Die with half of the state written, before it is renamed."""
    from safetensors import torch as files

    honest, calls = files.save_file, itertools.count(1)

    def watched(tensors: Any, path: Any, *more: Any, **named: Any) -> None:
        honest(tensors, path, *more, **named)
        if str(path).endswith(".tmp") and next(calls) == count:
            data = Path(path).read_bytes()
            Path(path).write_bytes(data[: len(data) // 2])
            _die()

    files.save_file = watched


def _half_a_line(count: int) -> None:
    """Die with half a line in the list of checkpoints."""
    from whichway.runs.folder import Lines

    honest, calls = Lines.append, itertools.count(1)

    def watched(self: Any, values: list[Any]) -> list[int]:
        if self.path.name == "checkpoints.jsonl" and next(calls) == count:
            self._out.write(b'{"bytes": 12')
            self._out.flush()
            _die()
        return honest(self, values)

    Lines.append = watched  # type: ignore[method-assign]


def _spots() -> dict[str, Callable[[int], None]]:
    from whichway.contest.bench import RunBench
    from whichway.contest.cache import Cache
    from whichway.engine.train import adapter_check, trainer

    return {
        "a training step": lambda n: _at(n, trainer.TrainingRun, "_step"),
        "the write of a checkpoint": lambda n: _at(n, adapter_check, "write"),
        "the write of the state": _half_a_state,
        "the line of a checkpoint": _half_a_line,
        "the search for a rate": lambda n: _at(n, RunBench, "_rung_score"),
        "the keeping of answers": lambda n: _at(n, Cache, "put", before=True),
        "the crossing of the test split": lambda n: _at(n, RunBench, "cross"),
    }


SPOTS = ("a training step", "the write of a checkpoint", "the write of the state", "the line of a checkpoint",
         "the search for a rate", "the keeping of answers", "the crossing of the test split")  # fmt: skip


def start(place: Path, model: Path, spot: str = "", count: int = 0) -> int:
    """Run the contest in a fork; returns its end: 0, or the signal that killed it, negative.

    Args:
        place: of run and cache.
        model: folder.
        spot: where to die; "": nowhere.
        count: at which pass there.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _work(place, model, spot, count)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _work(place: Path, model: Path, spot: str, count: int) -> None:
    from whichway.backends import local
    from whichway.engine.train import process_memory, run_job, trainer

    time.perf_counter = lambda: 0.0
    trainer.STATE_SECONDS = 0.0
    process_memory.peak_bytes = lambda: 1 << 20
    local._train_apart = run_job.train
    if spot:
        _spots()[spot](count)
    contest(place, model)


def left_by(place: Path) -> dict[str, str]:
    """Digest of everything a run left that must not depend on how it came about."""
    run = place / "r"
    files = [run / name for name in ("verdict.json", "records.jsonl", "race.json", "ledger.jsonl")]
    files += sorted(run.glob("ways/*/*.json*")) + sorted(run.glob("ways/*/adapters/*/*.safetensors"))
    return {str(f.relative_to(run)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
