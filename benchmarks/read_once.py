"""Rows that are read once: tokens forwarded and seconds of one contest, each way for itself and sharing.

    python benchmarks/read_once.py [--model WORD ...] [--rows 120] [--out benchmarks/results/read_once.md]

Rows of the support example; zero-shot, a probe and a head on the upper half ask the same rendering of them. In folds
each row is trained on in all folds but one. Tokens are counted where they enter the model; seconds are those of the
processor, so that other programs count little.
"""

from __future__ import annotations

import argparse
import csv
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from table_writer import write_table

import whichway
from whichway import models
from whichway.backends.local import LocalBackend
from whichway.engine.model import load
from whichway.engine.model.activation_store import FILE
from whichway.engine.model.decoder import Decoder
from whichway.engine.train import adapter_check, trainer
from whichway.engine.train.frozen_states import FrozenStates
from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow, Weights

TICKETS = Path(whichway.__file__).parent / "examples" / "support" / "tickets.csv"
EMBEDDED = str(Path(whichway.__file__).parent / "embedded" / "model")
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Work:
    """What a step of the contest forwarded, and took."""

    step: str
    tokens: int
    seconds: float


class Meter:
    """Counts the tokens that enter a model."""

    def __init__(self) -> None:
        self.tokens = 0
        self.steps: list[Work] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step, under its name."""
        before, start = self.tokens, time.process_time()
        yield
        self.steps.append(Work(name, self.tokens - before, time.process_time() - start))


def rows_of(count: int) -> tuple[list[TrainRow], tuple[str, ...]]:
    """Rows of the example as a prompt that lists the labels renders them, and the labels."""
    with TICKETS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:count]
    labels = tuple(sorted({row["team"] for row in rows}))
    head = Message("system", f"Which team should handle this message? One of: {', '.join(labels)}.")
    return [TrainRow((head, Message("user", row["text"])), row["team"]) for row in rows], labels


def contest(backend: LocalBackend, base: Weights, rows: list[TrainRow], labels: tuple[str, ...], place: Path,
            meter: Meter, forget: Callable[[], None]) -> None:  # fmt: skip
    """What folds ask of the model: every row answered by zero-shot and by a probe, which trains on the others."""
    asks = [Request(row.messages, Decoding(), labels) for row in rows]
    model = load.load(models.find(base.base))
    with meter.step("zero-shot, all rows"), backend.open(base, None) as session:
        session.choose(asks)
    for fold in range(FOLDS):
        train = tuple(row for n, row in enumerate(rows) if n % FOLDS != fold)
        own = asks[fold::FOLDS]
        forget()
        with meter.step("probe, training rows"):
            (part,) = backend.train(TrainJob("probe", base, train, labels, fold), place / f"probe{fold}", None)
        forget()
        with meter.step("probe, its fold's rows"), backend.open(
            part.weights, place / f"probe{fold}" / str(part.weights.adapter)
        ) as session:  # fmt: skip
            session.choose(own)
        forget()
        with meter.step("head on the upper half: layers below, training rows"):
            job = TrainJob("head", base, train, labels, fold, {"share": 0.5})
            encoded, prefix = adapter_check.shared(trainer.encode(model, job))
            layers = model.module.config.num_hidden_layers
            FrozenStates.of(model, encoded, prefix, layers // 2, place / f"head{fold}")


def measured(word: str, count: int, shared: bool) -> list[Work]:
    """The steps of a contest, those of all folds together."""
    rows, labels = rows_of(count)
    meter, embed = Meter(), Decoder.embed

    def counted(self: Decoder, ids: Any, positions: Any) -> Any:
        meter.tokens += len(ids)
        return embed(self, ids, positions)

    with tempfile.TemporaryDirectory() as folder:
        place, backend = Path(folder), LocalBackend()

        def forget() -> None:
            for file in (*place.glob("states/*"), *(() if shared else place.glob(f"{FILE}*"))):
                file.unlink()

        base = backend.weights(word)
        with backend.open(base, None) as session:  # the first call is slower than all others
            session.choose([Request(rows[0].messages, Decoding(), labels)])
        if shared:
            backend.keep(place, (rows[0].messages[:-1],), states=True)
        Decoder.embed = counted  # type: ignore[method-assign]
        try:
            contest(backend, base, rows, labels, place, meter, forget)
        finally:
            Decoder.embed = embed  # type: ignore[method-assign]
            backend.keep(None)
    names = dict.fromkeys(work.step for work in meter.steps)
    return [
        Work(name, sum(w.tokens for w in meter.steps if w.step == name), sum(
            w.seconds for w in meter.steps if w.step == name
        ))
        for name in names
    ]  # fmt: skip


def lines(words: Sequence[str], count: int) -> Iterator[str]:
    """The page."""
    yield "# A row is read once\n"
    yield f"{count} rows of the support example in {FOLDS} folds; tokens that enter the model, and processor seconds"
    yield "(whole steps, fits and loading included), all folds together, each step for itself and sharing. A probe that"
    yield f"is opened answers four rows to prove that it is live. {platform.machine()}, {date.today()}.\n"
    yield "| model | step | tokens, alone | tokens, shared | seconds, alone | seconds, shared |"
    yield "|---|---|---|---|---|---|"
    for word in words:
        alone, shared = (measured(word, count, share) for share in (False, True))
        name = "embedded" if word == EMBEDDED else Path(word).stem
        for a, b in zip([*alone, _sum(alone)], [*shared, _sum(shared)], strict=True):
            yield f"| {name} | {a.step} | {a.tokens:,} | {b.tokens:,} | {a.seconds:.1f} | {b.seconds:.1f} |"


def _sum(works: Sequence[Work]) -> Work:
    return Work("**all**", sum(work.tokens for work in works), sum(work.seconds for work in works))


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=[EMBEDDED])
    parser.add_argument("--rows", type=int, default=120)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "read_once.md")
    args = parser.parse_args()
    write_table(lines(args.model, args.rows), args.out)


if __name__ == "__main__":
    main()
