"""Run folders to look at: consistent, deterministic, like a contest's, without any model."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from whichway.findings import Race
from whichway.nouns import (
    Budget,
    Candidate,
    Decoding,
    Example,
    Kind,
    MetricSpec,
    Plan,
    Prompt,
    Record,
    Shot,
    Verdict,
    Weights,
    digest,
    to_json,
)
from whichway.verdict.compare import Arm
from whichway.verdict.curves import CurveRun
from whichway.verdict.decide import Extras, decide
from whichway.verdict.slices import RowFacts

PHRASES: Mapping[str, Sequence[str]] = {
    "account": ("can't log in since the update", "please change the email on my profile", "my account is locked again"),
    "billing": ("there are two charges on my card for March", "why is the invoice so high?", "VAT is wrong"),
    "cancellation": ("I want to end my subscription", "pls stop the plan before it renews", "how do I quit?"),
    "complaint": ("third time I write, nobody answers", "worst service I ever had", "your chat hung up on me"),
    "delivery": ("parcel says delivered but it is not here", "when will it arrive??", "courier left it in the rain"),
    "hardware": ("the left hinge is broken", "battery swells after two weeks", "screen flickers when it is warm"),
    "order": ("can I still add a cable to order 5521", "I ordered the wrong size", "where do I see my order"),
    "praise": ("just wanted to say thanks to Mira", "great support yesterday", "works like a charm now"),
    "privacy": ("delete all data you have about me", "who did you share my address with", "GDPR request attached"),
    "refund": ("still no money back after 3 weeks", "I returned it, where is my refund", "refund the shipping too"),
    "software": ("the app crashes when I open settings", "sync is stuck at 43 %", "export gives an empty file"),
    "warranty": ("is this covered after 14 months", "how do I claim the guarantee", "warranty number not found"),
}
ENDINGS = (
    "", " Thanks.", " This is urgent, I have a presentation at 3.", " Regards, J. Weber", " (see screenshot)",
    " I already tried turning it off and on.", " Sent from my phone", "\nOrder no. 77-1203, Leipzig shop.",
    " To be honest I also have a question about the bill, but this comes first.",
)  # fmt: skip
LABELS = tuple(PHRASES)
VOLUME, MARGIN, PRICE = 2000.0, 0.02, 0.10


@dataclass(frozen=True)
class Made:
    """A way of the sample: how good, how noisy, how dear."""

    name: str
    kind: Kind
    skill: float
    seeds: int
    seconds_fit: float
    seconds_per_row: float
    tokens: tuple[int, int, int]
    note: str = ""
    unparsed: float = 0.0
    failed: str = ""


WAYS = (
    Made("base_majority", "baseline", 0.0, 1, 0.0, 0.00001, (0, 0, 0), "always “delivery”"),
    Made("base_tfidf", "baseline", 0.70, 1, 0.8, 0.00021, (0, 0, 0), "word and character n-grams"),
    Made("prompt_plain", "prompt", 0.47, 1, 9.1, 0.021, (31, 48, 0), "zero-shot"),
    Made("prompt_shots", "prompt", 0.66, 3, 74.0, 0.058, (31, 412, 0), "12 shots, balanced", 0.013),
    Made("tune_probe", "fine-tune", 0.76, 3, 31.0, 0.019, (33, 0, 0), "layer 5 of 8"),
    Made("tune_lora", "fine-tune", 0.87, 3, 412.0, 0.020, (33, 0, 0), "rank 8, 6 epochs"),
    Made("tune_full", "fine-tune", 0.0, 0, 188.0, 0.0, (0, 0, 0),
         failed="diverged at step 40: loss is not a number. Try a lower rate (--set tune_full.rate=1e-5)"),
)  # fmt: skip


def make(
    folder: Path,
    *,
    rows: int = 150,
    ways: Sequence[Made] = WAYS,
    free: bool = False,
    texts: Sequence[str] = (),
    edit: Callable[[Verdict], Verdict] | None = None,
) -> Path:
    """Write a run folder.

    Args:
        folder: where to; made.
        rows: test rows.
        ways: what was tried.
        free: free text with graded scores in place of closed labels.
        texts: texts of the first test rows.
        edit: the last word on the verdict.
    """
    rng = random.Random(7)
    dev, test = _examples(rng, 60, (), free), _examples(rng, rows, texts, free)
    lines = [_row(e, split) for split, examples in (("dev", dev), ("test", test)) for e in examples]
    _write(folder / "rows.jsonl", lines)
    hard = {e.id: random.Random(e.id).random() for e in (*dev, *test)}
    made = [_way(folder, way, dev, test, hard, free) for way in ways]
    _write(folder / "records.jsonl", [to_json(r) for _, records, _ in made for r in records])
    _write(folder / "ledger.jsonl", [line for _, _, ledger in made for line in ledger])
    _json(folder / "plan.json", {"format": 1, **to_json(_plan(dev, test, ways, free))})
    facts = RowFacts(
        ids=tuple(e.id for e in test),
        targets=() if free else tuple(e.target for e in test),
        lengths=tuple(len(e.text) for e in test),
    )
    side = Extras(rows=facts, dev_rows=len(dev), runs=_runs(ways), race=Race(3, 1180, 2520, 9))
    verdict = decide([arm for arm, _, _ in made], MARGIN, 0.95, VOLUME, len(test), extras=side)
    _json(folder / "verdict.json", to_json(edit(verdict) if edit else verdict))
    return folder


def _runs(ways: Sequence[Made]) -> tuple[CurveRun, ...]:
    """Learning-curve points of the prompts and one fine-tune, zero-shot at n = 0."""
    rng, found = random.Random(11), []
    rises = {"prompt_plain": 0.0, "prompt_shots": 0.015, "tune_lora": 0.11}
    for way in (w for w in ways if w.name in rises and not w.failed):
        for seed in range(way.seeds):
            for doubling, n in enumerate((8, 16, 32, 64, 128, 256, 512) if way.name != "prompt_plain" else (0,)):
                top = way.skill - rises[way.name] * (6 - doubling if n else 0)
                found.append(CurveRun(way.name, seed, n, min(0.99, max(0.01, top + rng.gauss(0, 0.015)))))
    return tuple(found)


def _examples(rng: random.Random, number: int, texts: Sequence[str], free: bool) -> list[Example]:
    found: dict[str, Example] = {}
    while len(found) < number:
        label = rng.choice(LABELS + LABELS[4:6])
        phrase = rng.choice(PHRASES[label])
        text = (phrase + ("" if phrase[-1] in "?!" else ".") + rng.choice(ENDINGS)).strip()
        if rng.random() < 0.25:
            text = f"{rng.choice(PHRASES[rng.choice(LABELS)])}. Also: {text}"
        text = texts[len(found)] if len(found) < len(texts) else f"{text} #{rng.randrange(9999)}"
        target = f"Sorry about that! Our {label} team will look into it today and write to you." if free else label
        example = Example({"message": text}, target, origin=f"tickets.csv:{len(found) + 2}")
        found[example.id] = example
    return list(found.values())


def _row(e: Example, split: str) -> dict[str, Any]:
    return {
        "id": e.id, "split": split, "input": dict(e.input), "text": e.text,
        "target": e.target, "group": e.group, "origin": e.origin,
    }  # fmt: skip


def _way(
    folder: Path, way: Made, dev: list[Example], test: list[Example], hard: Mapping[str, float], free: bool
) -> tuple[Arm, list[Record], list[dict[str, Any]]]:
    candidates = [_candidate(way, seed) for seed in range(way.seeds)]
    records = [
        _record(way, c, e, split, hard[e.id], free)
        for c in candidates
        for split, examples in (("dev", dev), ("test", test))
        for e in examples
    ]
    scores = {split: np.array([_scores(records, c, split) for c in candidates]) for split in ("dev", "test")}
    dev_scores = tuple(float(s) for s in scores["dev"].mean(axis=1)) if candidates else ()
    fit = way.seconds_fit
    _write(
        folder / "ways" / way.name / "candidates.jsonl",
        [
            {"candidate": to_json(c), "id": c.id, "dev_score": d, "seconds_fit": fit / way.seeds,
             "usd_fit": fit / way.seeds * PRICE / 3600, "finalist": True}
            for c, d in zip(candidates, dev_scores, strict=True)
        ],
    )  # fmt: skip
    status = {"status": "failed" if way.failed else "ok", "reason": way.failed, "kind": way.kind}
    _json(folder / "ways" / way.name / "status.json", status)
    arm = Arm(
        way=way.name,
        kind=way.kind,
        scores=scores["test"] if candidates else np.zeros((0, 0)),
        random=way.seeds > 1,
        candidates=tuple(c.id for c in candidates),
        dev_scores=dev_scores,
        unparsed=sum(r.outcome == "unparsed" for r in records) / max(1, len(records)),
        note=way.note,
        seconds_fit=fit,
        seconds_per_row=way.seconds_per_row,
        tokens_in=way.tokens[0],
        tokens_cached=way.tokens[1],
        tokens_out=way.tokens[2],
        usd_fit=fit * PRICE / 3600,
        usd_per_1000=way.seconds_per_row * 1000 * PRICE / 3600,
        row_usd=np.full(scores["test"].shape, way.seconds_per_row * PRICE / 3600),
        tried=12 if way.kind == "prompt" else 3,
        crossings=float(way.seeds),
        status="failed" if way.failed else "ok",
        reason=way.failed,
    )
    return arm, records, _ledger(way, candidates, len(dev) + len(test))


def _scores(records: Sequence[Record], candidate: Candidate, split: str) -> list[float]:
    return [r.score or 0.0 for r in records if (r.candidate, r.split) == (candidate.id, split)]


def _candidate(way: Made, seed: int) -> Candidate:
    ask = "Which team should handle this message?"
    shots = [Shot(phrases[seed % 3] + ".", label) for label, phrases in PHRASES.items()]
    both = Prompt(objective=ask, shots=tuple(shots[:3]))
    prompt = {
        "both_shots_lora": both,
        "prompt_plain": Prompt(objective=ask, labels=LABELS),
        "prompt_shots": Prompt(
            role="You sort messages for the support desk of an electronics shop.",
            objective=ask,
            instructions=("Read the whole message.", "If it raises several matters, the first one counts."),
            labels=LABELS,
            output_format="Answer with the label only.",
            shots=tuple(shots),
            reminder="Team:",
        ),
        "tune_lora": Prompt(objective=ask),
    }.get(way.name, Prompt())
    trained = {"tune_probe": "probe", "base_tfidf": "tfidf", "base_majority": "majority"}
    kind = trained.get(way.name, "lora" if way.kind in ("fine-tune", "both") else "none")
    weights = Weights(
        backend="classical" if way.kind == "baseline" else "local",
        base=kind if way.kind == "baseline" else "/home/somebody/models/small-llama",
        revision="5f0c2a9e11d4b7aa",
        adapter=digest([way.name, seed]) if kind != "none" else None,
        kind=kind,
    )
    return Candidate(prompt, weights, Decoding(), way.name, seed, way.note)


def _record(way: Made, c: Candidate, e: Example, split: Any, hard: float, free: bool) -> Record:
    rng = random.Random(f"{c.id}{e.id}")
    talent = way.skill + rng.gauss(0, 0.09) + (0.02 * c.seed if split == "dev" else 0)
    label = next(name for name in LABELS if name in e.target)
    right = talent > hard if way.skill else label == "delivery"
    unparsed = not right and rng.random() < way.unparsed * 4
    near = LABELS[(LABELS.index(label) + 1 + (hard > 0.93)) % len(LABELS)]
    said = e.target if right else near if way.skill else "delivery"
    score: float | None = 1.0 if right else 0.0
    if free:
        greeting = ("regards", "best", "yours")[c.seed]
        said = f"We are sorry to hear that. The {near} team will look into it soon, {greeting}."
        score = round(min(1.0, max(0.0, talent - hard + 0.6)), 3)
    return Record(
        candidate=c.id, example=e.id, split=split, repeat=0,
        outcome="unparsed" if unparsed else "ok", score=None if unparsed else score,
        text="I think this could be several teams" if unparsed else said, why="no label found" if unparsed else "",
        tokens_in=way.tokens[0], tokens_cached=way.tokens[1], tokens_out=way.tokens[2],
        seconds=way.seconds_per_row, usd=way.seconds_per_row * PRICE / 3600,
    )  # fmt: skip


def _ledger(way: Made, candidates: Sequence[Candidate], rows: int) -> list[dict[str, Any]]:
    def line(what: str, key: str, calls: int, seconds: float) -> dict[str, Any]:
        usd = seconds * PRICE / 3600
        return {"who": way.name, "what": what, "key": key, "calls": calls, "seconds": seconds, "usd": usd,
                "paid_usd": usd, "paid_seconds": seconds}  # fmt: skip

    train = [line("train", f"t{n}", 1, way.seconds_fit / 3) for n in range(3)] if way.kind == "fine-tune" else []
    return train + [line("score", c.id, rows, rows * way.seconds_per_row) for c in candidates]


def _plan(dev: list[Example], test: list[Example], ways: Sequence[Made], free: bool) -> Plan:
    options: dict[str, dict[str, Any]] = {
        "fine-tune": {"rate": 0.0005, "epochs": 6, "rank": 8},
        "prompt": {"shots": [4, 8, 12], "balanced": True},
    }
    return Plan(
        task="support",
        ask="Answer the customer in one sentence." if free else "Which team should handle this message?",
        metric=MetricSpec("rouge_l" if free else "accuracy"),
        labels=() if free else LABELS,
        splits={"train": digest("train"), "dev": digest([e.id for e in dev]), "test": digest([e.id for e in test])},
        rows={"train": 540, "dev": len(dev), "test": len(test)},
        model="/home/somebody/models/small-llama",
        revision="5f0c2a9e11d4b7aa",
        ways={way.name: options.get(way.kind, {}) for way in ways},
        seeds=(0, 1, 2),
        budget=Budget(usd=2.0, seconds=900.0),
        volume=VOLUME,
        margin=MARGIN,
        confidence=0.95,
        price_per_hour=PRICE,
        versions={"whichway": "0.1.0", "python": "3.11.9", "local": "torch 2.13.0, transformers 5.20.1"},
        smallest_gap=0.072,
        warnings=("Only 9 train rows have the label “praise”.",),
    )


def weaker(ways: Sequence[Made] = WAYS) -> list[Made]:
    """Ways too close to each other to decide."""
    return [replace(w, skill=min(w.skill, 0.70 + 0.01 * k)) for k, w in enumerate(ways)]


def hopeless(ways: Sequence[Made] = WAYS) -> list[Made]:
    """Every way fails."""
    return [replace(w, seeds=0, failed="the model answers with an empty text on every row") for w in ways]


def _write(path: Path, lines: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
