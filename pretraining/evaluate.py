"""Measure a model on sets that it was never trained on: zero-shot, k-shot, wording, formats, fine-tuning, speed.

    python pretraining/evaluate.py --evals EVALS --model src/whichway/embedded/model --out pretraining/work/results

Each cell is kept in `cells.jsonl` when it is done, so that the same command goes on after an interruption;
`table.md` is made of the cells. Intervals are 95 %: over rows, or over rows and draws of shots (seeds, then rows, are
resampled). Speeds are measured with all of the processor's units, or, under `ONEDNN_MAX_CPU_ISA=AVX512_CORE`, without
those for bfloat16 (AMX).

Shots are drawn once for all rows, or for each row the most similar of a pool of training rows (kNN, arXiv 2101.06804).
Two views of each set. *Whole*: all labels, rows as they come. *Restricted*: its most frequent labels, at most five, the
test rows balanced over them, so that the majority label is right in one of L.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from whichway.backends.classical import ClassicalBackend
from whichway.backends.local import LocalBackend
from whichway.nouns import Adapter, Decoding, Example, Message, Prompt, Reply, Request, Shot, TrainJob, TrainRow
from whichway.prompts.calibrate import batch_bias
from whichway.prompts.shots import balanced_shots, random_shots
from whichway.prompts.template import messages
from whichway.tasks.metrics.json_fields import Metric as JsonFields
from whichway.tasks.metrics.json_fields import Options as JsonOptions
from whichway.verdict.stats import hierarchical_bootstrap, wilson

ASKS = {
    "medical_titles": "Which field of medicine is this paper about?",
    "nlupp_domain": "Is this message about banking or about hotels?",
    "nlupp_topic": "What is the customer talking about?",
    "nlupp_need": "What does the customer need?",
    "trec6": "What kind of answer does the question ask for?",
    "restaurant_slots": "Extract the booking details as JSON. Keys: date, time, people, first_name, last_name.",
}
PHRASINGS = (
    "{ask}",
    "Classify the text.",
    "Choose the right label. {ask}",
    "{ask} Answer with the label only.",
    "You sort incoming messages. {ask}",
    "Read the text and pick the category that fits best.",
    "Which of these is it?",
    "Do your best: {ask}",
    "Task: {ask}\nGive one of the labels.",
    "Label the following text. Copy the label exactly.",
)
SHOTS = (1, 2, 4, 8, 16)
POOL = 200  # training rows that shots for each row are chosen from
SEEDS = (0, 1, 2, 3)
LORA_ROWS = (50, 200, 1000)
# (share of a row's words that each step leaves out, times as many epochs, rates times the rule of thumb): what
# `tune_lora` can be set to. Dev chooses among them.
RECIPES = ((0.0, 1, (0.5, 1.0, 2.0)), (0.4, 2, (1.0, 2.0)))
TEST_ROWS, BALANCED_ROWS, DEV_ROWS = 400, 1500, 150
ISA, ALL = "ONEDNN_MAX_CPU_ISA", "all"  # set to AVX512_CORE: without the units for bfloat16


@dataclass(frozen=True)
class Set:
    """One evaluation set, split by a hash of its content."""

    name: str
    labels: tuple[str, ...]
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]


def read(path: Path, most: int | None) -> Set:
    """Read a set; `most`: restrict it to that many most frequent labels and balance its test rows."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    closed = path.stem != "restaurant_slots"
    frequent = [label for label, _ in Counter(r["target"] for r in rows).most_common(most)]
    labels = tuple(sorted(frequent)) if closed else ()
    seen: dict[str, Example] = {}
    for row in rows:
        if not closed or row["target"] in labels:
            seen.setdefault(row["input"], Example({"text": row["input"]}, row["target"]))
    order = sorted(seen.values(), key=lambda e: hashlib.sha256(e.text.encode()).hexdigest())
    test = _balanced(order, BALANCED_ROWS) if most and closed else order[:TEST_ROWS]
    taken = {e.id for e in test}
    rest = [e for e in order if e.id not in taken]
    return Set(path.stem, labels, tuple(rest[DEV_ROWS:]), tuple(rest[:DEV_ROWS]), tuple(test))


def _balanced(order: Sequence[Example], most: int) -> list[Example]:
    """As many of each label: a third of the rarest label's rows at most."""
    by_label: dict[str, list[Example]] = defaultdict(list)
    for e in order:
        by_label[e.target].append(e)
    each = min(most // len(by_label), min(len(rows) for rows in by_label.values()) // 3)
    return [e for rows in by_label.values() for e in rows[:each]]


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
        """The recipe and checkpoint that are best on dev; what they were, and what is right on test."""
        found = [
            self._trained(data, rows, seed, folder / f"{dropped}", dropped, times, factors)
            for dropped, times, factors in RECIPES
            if data.labels or not dropped
        ]
        dev, factor, dropped, adapter, place = max(found, key=lambda f: f[0])
        right = self.right(first(data), data, data.test, adapter, place)
        tried = [{"word_dropout": f[2], "factor": f[1], "dev": f[0]} for f in found]
        return {"factor": factor, "word_dropout": dropped, "dev": dev, "tried": tried, "right": right.tolist()}

    def _trained(
        self, data: Set, rows: Sequence[Example], seed: int, folder: Path, dropped: float, times: int,
        factors: Sequence[float],
    ) -> tuple[float, float, float, Adapter, Path]:  # fmt: skip
        """The rate that leads at a third of the steps, its best checkpoint: (dev, factor, dropped, adapter, place)."""
        prompt = first(data)
        made = tuple(TrainRow(messages(prompt, e.text), e.target) for e in rows)
        epochs = times * max(6.0, min(30.0, 16 * 120 / len(rows)))
        made_of: dict[float, tuple[float, Adapter, Iterator[Adapter]]] = {}
        for factor in factors:
            options: dict[str, Any] = {"factor": factor, "epochs": epochs, "batch": 16, "checkpoints": 3}
            job = TrainJob("lora", self.base, made, data.labels, seed, options | {"word_dropout": dropped})
            run = iter(self.backend.train(job, folder / f"{factor}", None))
            adapter = next(run)
            made_of[factor] = (self._dev(prompt, data, adapter, folder / f"{factor}"), adapter, run)
        factor = max(made_of, key=lambda f: made_of[f][0])
        place = folder / f"{factor}"
        for other, (_, _, run) in made_of.items():
            if other != factor:
                run.close()  # type: ignore[attr-defined]
        dev, best, run = made_of[factor]
        for adapter in run:
            if (value := self._dev(prompt, data, adapter, place)) > dev:
                dev, best = value, adapter
        return dev, factor, dropped, best, place

    def _dev(self, prompt: Prompt, data: Set, adapter: Adapter, place: Path) -> float:
        return float(self.right(prompt, data, data.dev, adapter, place).mean())

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


def interval(scores: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % interval of scores (S, n): Wilson for one run of 0s and 1s, else seeds, then rows, resampled."""
    scores = np.atleast_2d(scores)
    if scores.shape[0] == 1 and set(np.unique(scores)) <= {0.0, 1.0}:
        found = wilson(float(scores.sum()), scores.shape[1])
        assert found is not None
        return float(scores.mean()), found[0], found[1]
    means = hierarchical_bootstrap(scores)
    assert means is not None
    low, high = np.quantile(means, (0.025, 0.975))
    return float(scores.mean()), float(low), float(high)


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
    """LoRA beside TF-IDF on the same rows."""
    for n in rows:
        train = random.Random(f"{n}/{data.name}").sample(data.train, min(n, len(data.train)))
        cells(f"whole/{data.name}/tfidf {n}", lambda train=train: bench.tfidf(data, train).tolist())

        def run(train: Any = train) -> Any:
            with tempfile.TemporaryDirectory() as place:
                return {"rows": len(train), **bench.lora(data, train, 0, Path(place))}

        cells(f"whole/{data.name}/lora {n}", run)


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
        cells(f"speed/{os.environ.get(ISA, ALL)}", lambda: speeds(bench, args.evals))
    (args.out / "table.md").write_text("\n".join(table(cells.done, args.evals)) + "\n", encoding="utf-8")
    sys.stdout.write((args.out / "table.md").read_text())


def _told(scores: Any) -> str:
    value, low, high = interval(np.asarray(scores, dtype=float))
    return f"{100 * value:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _paired(one: Any, other: Any) -> str:
    """Mean difference on the same rows, in points, with its interval."""
    difference = np.subtract(one, other)
    half, d = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5, difference.mean()
    return f"{100 * d:+.1f} ({100 * (d - half):+.1f} to {100 * (d + half):+.1f})"


def majority(data: Set) -> float:
    """Share of the test rows that have the training rows' most frequent label."""
    label = Counter(e.target for e in data.train).most_common(1)[0][0]
    return float(np.mean([e.target == label for e in data.test]))


def table(done: dict[str, Any], evals: Path) -> Iterator[str]:
    """The cells as Markdown."""
    yield from _restricted(done, evals)
    yield from _nearest(done)
    yield from _whole(done, evals)
    yield from _wordings(done)
    if "format/json" in done:
        probes = done["format/json"]
        yield f"\nAsked for JSON with a key: obeyed in {_told(probes)} % of {len(probes)} probes."
    yield from _speeds(done)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _head(*names: str) -> Iterator[str]:
    yield _line(*names)
    yield "|" + "---|" * len(names)


def _restricted(done: dict[str, Any], evals: Path) -> Iterator[str]:
    """Shots drawn once for all rows."""
    names = [n for n in ASKS if f"restricted/{n}/zero" in done]
    if not names:
        return
    yield "Restricted to at most five labels, test rows balanced, accuracy in % (95 %):\n"
    shown = [f"{k} shots" for k in SHOTS]
    yield from _head("set", "labels", "test rows", "majority", "zero-shot", *shown, f"{shown[-1]}, labels exchanged")
    for n in names:
        data = read(evals / f"{n}.jsonl", 5)
        cells = [
            _told(done[f"restricted/{n}/{k}"])
            for k in ("zero", *(f"{k}-shot" for k in SHOTS), f"{SHOTS[-1]}-shot exchanged")
        ]
        yield _line(n, str(len(data.labels)), str(len(data.test)), f"{100 / len(data.labels):.1f}", *cells)


def _nearest(done: dict[str, Any]) -> Iterator[str]:
    """Shots chosen for each row."""
    names = [n for n in ASKS if f"restricted/{n}/{SHOTS[-1]}-nearest exchanged" in done]
    if not names:
        return
    yield f"\nThe same, shots chosen for each row: the most similar of {POOL} training rows, most similar last:\n"
    counts = [f"{k} shots" for k in SHOTS]
    yield from _head("set", "zero-shot", *counts, "exchanged", f"{counts[-1]} less zero-shot (95 %)")
    for n in names:
        shown = [f"{k}-nearest" for k in SHOTS]
        cells = [_told(done[f"restricted/{n}/{k}"]) for k in ("zero", *shown, f"{SHOTS[-1]}-nearest exchanged")]
        gain = _paired(done[f"restricted/{n}/{SHOTS[-1]}-nearest"], done[f"restricted/{n}/zero"])
        yield _line(n, *cells, gain)


def _whole(done: dict[str, Any], evals: Path) -> Iterator[str]:
    """Whole sets: prompts, word counts, LoRA."""
    names = [n for n in ASKS if f"whole/{n}/zero" in done]
    if not names:
        return
    rows = [n for n in LORA_ROWS if any(f"whole/{name}/lora {n}" in done for name in names)]
    yield "\nWhole sets (restaurant_slots: F1 over the fields of the JSON object):\n"
    compared = [told for n in rows for told in (f"TF-IDF + LR, {n} rows", f"LoRA, {n} rows", "LoRA less TF-IDF")]
    yield from _head("set", "labels", "majority", "zero-shot", "16 shots", *compared)
    for n in names:
        data = read(evals / f"{n}.jsonl", None)
        cells = [_told(done[f"whole/{n}/zero"]), _told(done[f"whole/{n}/16-shot"])]
        for k in rows:
            counted, lora = (done.get(f"whole/{n}/{way} {k}") for way in ("tfidf", "lora"))
            of = "" if not lora or lora["rows"] == k else f" [{lora['rows']} rows]"
            cells.append(_told(counted) if counted else "")
            of += f" [{lora['word_dropout']:.0%} of words left out]" if lora and lora["word_dropout"] else ""
            cells.append(_told(lora["right"]) + of if lora else "")
            cells.append(_paired(lora["right"], counted) if lora and counted else "")
        most = f"{100 * majority(data):.1f}" if data.labels else ""
        yield _line(n, str(len(data.labels) or "free"), most, *cells)


def _wordings(done: dict[str, Any]) -> Iterator[str]:
    """What the wording is worth."""
    names = [n for n in ASKS if f"wording/{n}/0" in done]
    if not names:
        return
    yield "\nTen wordings of the instruction, zero-shot, restricted sets:\n"
    yield "| set | worst | best | spread | largest paired difference from the first (95 %) |\n|---|---|---|---|---|"
    for n in names:
        scores = np.array([done[f"wording/{n}/{i}"] for i in range(len(PHRASINGS))])
        means = scores.mean(1)
        far_told = _paired(scores[int(np.argmax(abs(means - means[0])))], scores[0])
        worst, best = 100 * means.min(), 100 * means.max()
        yield f"| {n} | {worst:.1f} | {best:.1f} | {best - worst:.1f} | {far_told} |"


def _speeds(done: dict[str, Any]) -> Iterator[str]:
    """Rows a second."""
    measured = {key.partition("/")[2]: value for key, value in done.items() if key.startswith("speed/")}
    if not measured:
        return
    yield "\nSpeed, rows a second on two cores:\n"
    yield "| processor's units used | answering, 4 labels | LoRA | tokens of a row |\n|---|---|---|---|"
    for units, s in sorted(measured.items(), key=lambda pair: pair[0] != ALL):
        yield (
            f"| {units} | {s['answer_rows_per_second']:.0f} | {s['train_rows_per_second']:.0f} | "
            f"{s['tokens_per_row']:.0f} |"
        )


if __name__ == "__main__":
    main()
