"""Measure a model on sets that it was never trained on: zero-shot, k-shot, wording, formats, fine-tuning, speed.

    python pretraining/evaluate.py --evals EVALS --model src/whichway/embedded/model --out pretraining/work/results

Each cell is kept in `cells.jsonl` when it is done, so that the same command goes on after an interruption; `table.md`
is made of the cells. Intervals are 95 %: over rows, or over rows and draws of shots or of training rows (draws, then
rows, are resampled; of three draws that shows two thirds of the variance between draws). Speeds are measured with all
of the processor's units, or, under `ONEDNN_MAX_CPU_ISA=AVX512_CORE`, without those for bfloat16 (AMX).

Shots are drawn once for all rows, or for each row the most similar of a pool of training rows (kNN, arXiv 2101.06804).
Two views of each set. *Whole*: all labels, rows as they come. *Restricted*: its most frequent labels, at most five, the
test rows balanced over them, so that the majority label is right in one of L.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sets import ASKS, LORA_ROWS, PHRASINGS, POOL, SHOTS, Set, draws, read
from tables import table
from whichway.backends.classical import ClassicalBackend
from whichway.backends.local import LocalBackend
from whichway.contest.dry_run.machine_load import processor
from whichway.contest.selection.successive_halving import latest
from whichway.nouns import Adapter, Decoding, Example, Message, Prompt, Reply, Request, Shot, TrainJob, TrainRow
from whichway.prompts.calibrate import batch_bias
from whichway.prompts.shots import balanced_shots, random_shots
from whichway.prompts.template import messages
from whichway.tasks.metrics.json_fields import Metric as JsonFields
from whichway.tasks.metrics.json_fields import Options as JsonOptions

SEEDS = (0, 1, 2, 3)
# (share of a row's words that each step leaves out, times as many epochs, rates times the rule of thumb): what
# `tune_lora` can be set to. Dev chooses among them.
RECIPES = ((0.0, 1, (0.5, 1.0, 2.0)), (0.4, 2, (1.0, 2.0)))
ISA, ALL = "ONEDNN_MAX_CPU_ISA", "all units"  # set to AVX512_CORE: without the units for bfloat16


class Bench:
    """The model under test."""

    def __init__(self, model: str) -> None:
        self.backend, self.classical = LocalBackend(), ClassicalBackend()
        self.base = self.backend.weights(model)

    def right(
        self,
        prompt: Prompt,
        data: Set,
        rows: Sequence[Example],
        adapter: Adapter | None = None,
        folder: Path | None = None,
    ) -> np.ndarray:
        """1 for each row answered rightly (`json_fields` F1 for open answers), (n,)."""
        weights = adapter.weights if adapter else self.base
        decoding = Decoding("choose" if data.labels else "generate", 96)
        with self.backend.open(
            weights, folder / str(adapter.weights.adapter) if adapter and folder else None
        ) as session:
            if not data.labels:
                return fields(rows, session.generate([Request(messages(prompt, e.text), decoding) for e in rows]))
            if adapter is None:
                shown = {s.text for s in (*prompt.shots, *prompt.pool)}
                inputs = [e for e in data.train if e.text not in shown][:32]
                bias = batch_bias([r.scores for r in session.choose(self._ask(prompt, data, inputs, decoding))])
                decoding = replace(decoding, bias=bias)
            said = session.choose(self._ask(prompt, data, rows, decoding))
        return same(rows, said)

    @staticmethod
    def _ask(prompt: Prompt, data: Set, rows: Sequence[Example], decoding: Decoding) -> list[Request]:
        return [Request(messages(prompt, e.text), decoding, data.labels) for e in rows]

    def lora(self, data: Set, rows: Sequence[Example], seed: int, folder: Path) -> dict[str, Any]:
        """The recipe that is best on dev, at the checkpoint a contest keeps; what it was, and what is right on test."""
        found = [
            self._trained(data, rows, seed, folder / f"{dropped}", dropped, times, factors)
            for dropped, times, factors in RECIPES
            if data.labels or not dropped
        ]
        told, adapter, place = max(reversed(found), key=lambda f: f[0]["dev"])  # the longer training of equals
        right = self.right(first(data), data, data.test, adapter, place)
        return {**told, "tried": [told for told, _, _ in found], "right": right.tolist()}

    def _trained(
        self, data: Set, rows: Sequence[Example], seed: int, folder: Path, dropped: float, times: int,
        factors: Sequence[float],
    ) -> tuple[dict[str, float], Adapter, Path]:  # fmt: skip
        """The rate that leads at a third of the steps, its checkpoint that is kept: what they are, adapter, place.

        As in a contest, that is the latest one within a standard error of the best on dev.
        """
        prompt = first(data)
        made = tuple(TrainRow(messages(prompt, e.text), e.target) for e in rows)
        epochs = times * max(6.0, min(30.0, 16 * 120 / len(rows)))
        made_of: dict[float, tuple[np.ndarray, Adapter, Iterator[Adapter]]] = {}
        for factor in factors:
            options: dict[str, Any] = {"factor": factor, "epochs": epochs, "batch": 16, "checkpoints": 3}
            job = TrainJob("lora", self.base, made, data.labels, seed, options | {"word_dropout": dropped})
            run = iter(self.backend.train(job, folder / f"{factor}", None))
            adapter = next(run)
            made_of[factor] = (self._dev(prompt, data, adapter, folder / f"{factor}"), adapter, run)
        factor = max(made_of, key=lambda f: float(made_of[f][0].mean()))
        place = folder / f"{factor}"
        for other, (_, _, run) in made_of.items():
            if other != factor:
                run.close()  # type: ignore[attr-defined]
        first_dev, adapter, run = made_of[factor]
        checkpoints = [(first_dev, adapter), *((self._dev(prompt, data, a, place), a) for a in run)]
        scores = [dev for dev, _ in checkpoints]
        dev, adapter = checkpoints[latest([float(dev.mean()) for dev in scores], scores)]
        return {"word_dropout": dropped, "factor": factor, "dev": float(dev.mean())}, adapter, place

    def _dev(self, prompt: Prompt, data: Set, adapter: Adapter, place: Path) -> np.ndarray:
        return self.right(prompt, data, data.dev, adapter, place)

    def tfidf(self, data: Set, rows: Sequence[Example]) -> np.ndarray:
        """TF-IDF with logistic regression on the same rows."""
        prompt = first(data)
        made = tuple(TrainRow(messages(prompt, e.text), e.target) for e in rows)
        labels = data.labels or tuple(sorted({e.target for e in rows}))
        job = TrainJob("tfidf", self.classical.weights("tfidf"), made, labels, 0, {})
        with tempfile.TemporaryDirectory() as place:
            *_, adapter = self.classical.train(job, Path(place), None)
            with self.classical.open(adapter.weights, Path(place) / str(adapter.weights.adapter)) as session:
                said = session.choose([Request(messages(prompt, e.text), Decoding(), labels) for e in data.test])
        if not data.labels:
            return fields(data.test, said)
        return same(data.test, said)


def same(rows: Sequence[Example], replies: Sequence[Reply]) -> np.ndarray:
    """1 where the answer is the label, (n,)."""
    return np.array([float(r.text == e.target) for r, e in zip(replies, rows, strict=True)])


def fields(rows: Sequence[Example], replies: Sequence[Reply]) -> np.ndarray:
    """F1 over the fields of the JSON object, 0 where there is none, (n,)."""
    judge = JsonFields(JsonOptions())
    return np.array([judge(e, r.text).value or 0.0 for e, r in zip(rows, replies, strict=True)])


def first(data: Set, ask: str | None = None) -> Prompt:
    """The product's plain prompt."""
    ask = ASKS[data.name] if ask is None else ask
    return Prompt(
        objective=ask, labels=data.labels, output_format="" if data.labels else "Answer with a JSON object only."
    )


def draw(data: Set, count: int, seed: int) -> tuple[Shot, ...]:
    """Balanced shots."""
    return balanced_shots(short(data), count, random.Random(f"{seed}/{data.name}"))


def pool(data: Set) -> tuple[Shot, ...]:
    """What shots for each row are chosen from."""
    return random_shots(short(data), POOL, random.Random(f"pool/{data.name}"))


def short(data: Set) -> list[Example]:
    """Training rows that may be shots."""
    return [e for e in data.train if len(e.text) < 240]


def wrong(shots: tuple[Shot, ...], labels: Sequence[str], seed: int) -> tuple[Shot, ...]:
    """The same shots with their answers exchanged: each label becomes another one, always the same."""
    turned = list(labels)
    rng = random.Random(seed)
    while any(a == b for a, b in zip(turned, labels, strict=True)):
        rng.shuffle(turned)
    swap = dict(zip(labels, turned, strict=True))
    return tuple(Shot(s.text, swap[s.answer]) for s in shots)


def json_probes(bench: Bench, folder: Path) -> np.ndarray:
    """200 probes: a system message asks for JSON with a named key; 1 where the answer is such an object, (200,)."""
    wordings = (
        'Answer as JSON with the key "{key}".',
        'Answer in JSON. Use the key "{key}".',
        'Give your answer as a JSON object with one key, "{key}".',
        'Output JSON only: {{"{key}": ...}}.',
        'Return the label as JSON under "{key}".',
    )
    keys = ("label", "answer", "category", "type", "topic")
    sets = [read(folder / f"{name}.jsonl", 5) for name in ASKS if name != "restaurant_slots"]
    requests, wanted = [], []
    for i in range(200):
        data, key = sets[i % len(sets)], keys[(i // 5) % len(keys)]
        wording = wordings[(i // 25) % len(wordings)].format(key=key)
        system = f"{ASKS[data.name]}\nOptions: {', '.join(data.labels)}.\n{wording}"
        row = data.test[(7 * i) % len(data.test)]
        requests.append(Request((Message("system", system), Message("user", row.text)), Decoding("generate", 48)))
        wanted.append(key)
    with bench.backend.open(bench.base, None) as session:
        replies = session.generate(requests)
    return np.array([float(_object(r.text).keys() == {key}) for r, key in zip(replies, wanted, strict=True)])


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def speeds(bench: Bench, folder: Path) -> dict[str, Any]:
    """Rows a second on this machine: answering about 60 tokens with 4 labels, and LoRA on the same rows."""
    data = read(folder / "medical_titles.jsonl", 4)
    long = [e for e in data.train if len(e.text) > 60][:300]
    text = [
        Example({"text": f"{a.text}. {b.text}. {c.text}"[:230]}, a.target)
        for a, b, c in zip(long, long[1:], long[2:], strict=False)
    ][:200]
    prompt = first(data)
    requests = [Request(messages(prompt, e.text), Decoding(), data.labels) for e in text]
    with bench.backend.open(bench.base, None) as session:
        session.choose(requests[:32])
        times = []
        for _ in range(3):
            began = time.perf_counter()
            replies = session.choose(requests)
            times.append(time.perf_counter() - began)
    rows = tuple(TrainRow(messages(prompt, e.text), e.target) for e in text)
    with tempfile.TemporaryDirectory() as place:
        job = TrainJob("lora", bench.base, rows, data.labels, 0, {"epochs": 2.0, "batch": 16, "checkpoints": 1})
        *_, adapter = bench.backend.train(job, Path(place), None)
    tokens = float(np.mean([r.tokens_in for r in replies]))
    return {
        "answer_rows_per_second": len(text) / sorted(times)[1],
        "train_rows_per_second": 2 * len(rows) / adapter.seconds,
        "tokens_per_row": tokens,
    }


class Cells:
    """Finished measurements on disk, by key."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "cells.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.done: dict[str, Any] = {cell["key"]: cell["value"] for cell in map(json.loads, lines)}

    def __call__(self, key: str, work: Callable[[], Any]) -> Any:
        """The kept value, or the work's."""
        if key not in self.done:
            began = time.perf_counter()
            value = work()
            self.done[key] = value
            with self.path.open("a") as out:
                out.write(json.dumps({"key": key, "value": value}) + "\n")
            sys.stderr.write(f"{key}  {time.perf_counter() - began:.1f} s\n")
        return self.done[key]


def prompting(bench: Bench, data: Set, view: str, cells: Cells, shots: Sequence[int]) -> None:
    """Zero-shot and k-shot, with right and with exchanged labels."""
    cells(f"{view}/{data.name}/zero", lambda: bench.right(first(data), data, data.test).tolist())
    for k in shots:

        def run(k: int = k, exchanged: bool = False) -> list[list[float]]:
            found = []
            for seed in SEEDS:
                shots = draw(data, k, seed)
                shots = wrong(shots, data.labels, seed) if exchanged else shots
                found.append(bench.right(replace(first(data), shots=shots), data, data.test).tolist())
            return found

        cells(f"{view}/{data.name}/{k}-shot", run)
        if k == max(shots) and data.labels:
            cells(f"{view}/{data.name}/{k}-shot exchanged", lambda k=k: run(k, exchanged=True))


def choosing(bench: Bench, data: Set, view: str, cells: Cells) -> None:
    """K shots chosen for each row, with right and with exchanged labels."""
    plain, shots = first(data), pool(data)
    for k in SHOTS:
        prompt = replace(plain, pool=shots, nearest=k)
        cells(f"{view}/{data.name}/{k}-nearest", lambda p=prompt: bench.right(p, data, data.test).tolist())
    turned = replace(plain, pool=wrong(shots, data.labels, 0), nearest=SHOTS[-1])
    cells(f"{view}/{data.name}/{SHOTS[-1]}-nearest exchanged", lambda: bench.right(turned, data, data.test).tolist())


def tuning(bench: Bench, data: Set, cells: Cells, rows: Sequence[int]) -> None:
    """LoRA beside TF-IDF on the same rows, a few rows drawn several times."""
    for n in rows:
        for number, name in enumerate(draws(n)):
            train = random.Random(f"{name}/{data.name}").sample(data.train, min(n, len(data.train)))
            cells(f"whole/{data.name}/tfidf {name}", lambda train=train: bench.tfidf(data, train).tolist())

            def run(train: Any = train, seed: int = number) -> Any:
                with tempfile.TemporaryDirectory() as place:
                    return {"rows": len(train), **bench.lora(data, train, seed, Path(place))}

            cells(f"whole/{data.name}/lora {name}", run)


def main() -> None:
    """Measure what is asked for; write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evals", type=Path, required=True)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="prompting,wording,format,tuning,speed")
    parser.add_argument("--lora-rows", default=",".join(map(str, LORA_ROWS)))
    args = parser.parse_args()
    bench, cells = Bench(args.model), Cells(args.out)
    closed = [name for name in ASKS if name != "restaurant_slots"]
    parts = args.only.split(",")
    if "prompting" in parts:
        for name in closed:
            data = read(args.evals / f"{name}.jsonl", 5)
            prompting(bench, data, "restricted", cells, SHOTS)
            choosing(bench, data, "restricted", cells)
        for name in ASKS:
            prompting(bench, read(args.evals / f"{name}.jsonl", None), "whole", cells, (16,))
    if "wording" in parts:
        for name in closed:
            data = read(args.evals / f"{name}.jsonl", 5)
            for i, phrasing in enumerate(PHRASINGS):
                prompt = first(data, phrasing.format(ask=ASKS[name]))
                cells(f"wording/{name}/{i}", lambda p=prompt, d=data: bench.right(p, d, d.test).tolist())
    if "format" in parts:
        cells("format/json", lambda: json_probes(bench, args.evals).tolist())
    if "tuning" in parts:
        for n in map(int, args.lora_rows.split(",")):
            for name in ASKS:
                tuning(bench, read(args.evals / f"{name}.jsonl", None), cells, (n,))
    if "speed" in parts:
        cells(f"speed/{processor()}, {os.environ.get(ISA, ALL)}", lambda: speeds(bench, args.evals))
    (args.out / "table.md").write_text("\n".join(table(cells.done, args.evals)) + "\n", encoding="utf-8")
    sys.stdout.write((args.out / "table.md").read_text())


if __name__ == "__main__":
    main()
