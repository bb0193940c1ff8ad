"""What `evaluate.py` measured, as the tables of the model card; intervals are 95 %."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sets import ASKS, DRAWS, LORA_ROWS, PHRASINGS, POOL, SHOTS, Set, draws, read
from whichway.verdict.stats import hierarchical_bootstrap, wilson


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


def _told(scores: Any) -> str:
    value, low, high = interval(np.asarray(scores, dtype=float))
    return f"{100 * value:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _paired(one: Any, other: Any) -> str:
    """Mean difference on the same rows, in points, with its interval; (n,) or, for draws, (S, n)."""
    difference = np.subtract(one, other)
    if difference.ndim > 1 and len(difference) > 1:
        d, low, high = interval(difference)
        return f"{100 * d:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
    difference = difference.ravel()
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
    told = ", ".join(f"{count} training rows are drawn {times}" for count, times in DRAWS.items())
    yield (
        f"\nWhole sets (restaurant_slots: F1 over the fields of the JSON object); {told} times, "
        "and their intervals are over draws and rows:\n"
    )
    compared = [told for n in rows for told in (f"TF-IDF + LR, {n} rows", f"LoRA, {n} rows", "LoRA less TF-IDF")]
    yield from _head("set", "labels", "majority", "zero-shot", "16 shots", *compared)
    for n in names:
        data = read(evals / f"{n}.jsonl", None)
        cells = [_told(done[f"whole/{n}/zero"]), _told(done[f"whole/{n}/16-shot"])]
        for k in rows:
            there = [draw for draw in draws(k) if f"whole/{n}/lora {draw}" in done]
            counted = [done[f"whole/{n}/tfidf {draw}"] for draw in there]
            lora = [done[f"whole/{n}/lora {draw}"] for draw in there]
            right = [cell["right"] for cell in lora]
            cells += [_told(counted), _told(right) + _how(lora, k), _paired(right, counted)] if there else [""] * 3
        most = f"{100 * majority(data):.1f}" if data.labels else ""
        yield _line(n, str(len(data.labels) or "free"), most, *cells)


def _how(lora: Sequence[dict[str, Any]], rows: int) -> str:
    """What is particular about trainings on so many rows."""
    told = [] if lora[0]["rows"] == rows else [f"{lora[0]['rows']} rows"]
    dropped = [cell["word_dropout"] for cell in lora if cell["word_dropout"]]
    if dropped:
        of = f" in {len(dropped)} of {len(lora)}" if len(lora) > 1 else ""
        told.append(f"{max(dropped):.0%} of words left out{of}")
    return f" [{'; '.join(told)}]" if told else ""


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
    yield from _head("processor, its units used", "answering, 4 labels", "LoRA", "tokens of a row")
    for units, said in sorted(measured.items()):
        rates = (said["answer_rows_per_second"], said["train_rows_per_second"], said["tokens_per_row"])
        yield _line(units, *(f"{rate:.0f}" for rate in rates))
