"""Which rows to label first: `whichway label`'s order beside random order, with the known labels as the annotator.

For each set the training rows are the unlabelled pool. Random order labels N rows drawn at random. The tool's order
labels a share drawn at random, which alone tests, and rows that its head doubts. After every few labels the cheap ways
(the most frequent label, word counts, a sentence encoder) are compared as the tool compares them, by folds over the
rows drawn at random; the way that is chosen is then fitted to all labelled rows and answers the test rows.

"The same verdict" as random order with N labels means both: at least as many of the runs as there choose the way that
most of random order's runs choose at N, and the mean accuracy of what is chosen is at least random order's at N. Both
hold at every later size that was looked at up to N, too. The fewest such labels are divided by N. Curves of means over
runs are made monotone first (isotonic regression), for both orders, so that a lucky size counts for neither.

    python benchmarks/labels.py --evals DIR --out benchmarks/results/labels.md
    python benchmarks/labels.py --evals DIR --tune      # settings are compared on dev rows, test rows are not looked at

A set is a file of JSON lines with `input` and `target`.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from table_writer import write_table

from whichway.app.labelling import next_rows
from whichway.app.labelling.cheap_ways import LabelledRow, Predict, cheap_verdict, cheap_ways
from whichway.app.labelling.quick_head import fit_head
from whichway.app.labelling.row_vectors import RowVectors, row_vectors
from whichway.tasks.load import load
from whichway.tasks.spec import from_flags

POOL, ASKED = 1000, 500  # rows of a set that are used: to label, to answer
SIZES = (30, 40, 50, 60, 80, 100, 120, 140, 160, 180, 200, 220, 240, 260, 280, 300, 330)
TARGET = 300  # N, labels in random order; 200 where the pool is small
SMALL = 600
MARGIN = 0.01


@dataclass(frozen=True)
class LabelSet:
    """A set: the pool first, then the rows that are answered."""

    name: str
    targets: tuple[str, ...]
    vectors: RowVectors
    pool: int

    @property
    def labels(self) -> int:
        """N of this set."""
        return TARGET if self.pool >= SMALL else 200


@dataclass(frozen=True)
class Order:
    """How rows are chosen."""

    name: str
    share: float  # of labels on rows drawn at random; 1: random order
    first: int = 20  # labels before a head chooses
    batch: int = 10
    typical: float = 0.0  # share of chosen rows that are typical rather than doubted


RANDOM = Order("random", 1.0)
OURS = Order("whichway label", 1 / 3)


def read_set(path: Path, encoder: str, cache: Path, tune: bool) -> LabelSet:
    """A set with its vectors; `tune`: dev rows are answered, not test rows."""
    task = load(from_flags(data=path, input=("input",), target="target"))
    pool, asked = task.train[:POOL], (task.dev if tune else task.test)[:ASKED]
    rows = (*pool, *asked)
    vectors = row_vectors([row.text for row in rows], encoder, cache)
    return LabelSet(path.stem, tuple(row.target for row in rows), vectors, len(pool))


def labelled_order(data: LabelSet, order: Order, seed: int) -> Iterator[LabelledRow]:
    """The rows of a pool in the order in which they are labelled."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(data.pool).tolist()
    if order.share == 1:
        yield from (LabelledRow(place, data.targets[place], True) for place in shuffled)
        return
    cut = round(order.share * data.pool)
    drawn, chosen = shuffled[:cut], shuffled[cut:]
    rows: list[LabelledRow] = []
    while drawn or chosen:
        wanted = order.first if not rows else order.batch
        count = min(len(drawn), round(order.share * (len(rows) + wanted)) - sum(row.drawn for row in rows))
        batch = [LabelledRow(drawn.pop(0), "", True) for _ in range(count)]
        places = _chosen(data, order, rows, chosen, wanted - count)
        batch += [LabelledRow(place, "", False) for place in places]
        taken = set(places)
        chosen = [place for place in chosen if place not in taken]
        answered = [replace(row, label=data.targets[row.place]) for row in batch]
        rows += answered
        yield from answered


def _chosen(data: LabelSet, order: Order, rows: list[LabelledRow], places: list[int], count: int) -> list[int]:
    dense, known = data.vectors.dense, [row.place for row in rows]
    repeats = len(rows) >= 2 * len({row.label for row in rows})  # else the answers are no labels: no head has a use
    head = fit_head(dense[known], [row.label for row in rows]) if rows and repeats else None
    if head is None:
        return next_rows.typical_rows(dense, places, count, known)
    some = round(order.typical * count)
    first = next_rows.typical_rows(dense, places, some, known) if some else []
    rest = [place for place in places if place not in set(first)]
    return first + next_rows.doubted_rows(dense, head.probabilities(dense), rest, count - some)


def right_share(predict: Predict, rows: Sequence[LabelledRow], data: LabelSet) -> float:
    """Accuracy on the rows that are answered, of a way fitted to the labelled ones."""
    asked = range(data.pool, len(data.targets))
    replies = predict([row.place for row in rows], [row.label for row in rows], asked)
    return float(np.mean([reply == data.targets[place] for place, reply in zip(asked, replies, strict=True)]))


def curve(data: LabelSet, order: Order, seeds: int) -> dict[int, list[tuple[str, float]]]:
    """Labels -> for each run the chosen way and its accuracy."""
    ways = cheap_ways(data.vectors)
    sizes = [size for size in SIZES if size <= min(1.1 * data.labels, data.pool)]
    points: dict[int, list[tuple[str, float]]] = {size: [] for size in sizes}
    for seed in range(seeds):
        rows: list[LabelledRow] = []
        for row in labelled_order(data, order, seed):
            rows.append(row)
            if len(rows) in points:
                verdict = cheap_verdict(data.vectors, rows, MARGIN)
                name = verdict.choice if verdict else "base_majority"
                points[len(rows)].append((name, right_share(ways[name], rows, data)))
            if len(rows) >= sizes[-1]:
                break
    return points


def rising(values: Sequence[float]) -> Any:
    """A curve made monotone."""
    from sklearn.isotonic import IsotonicRegression

    return IsotonicRegression().fit_transform(np.arange(len(values)), values)


@dataclass(frozen=True)
class Outcome:
    """What an order needs for random order's verdict."""

    labels: int | None  # None: more than were looked at
    score: float  # at N
    agree: float  # share of the runs that choose the same at N


def outcome(
    data: LabelSet, points: dict[int, list[tuple[str, float]]], way: str, agree: float, level: float
) -> Outcome:
    """The fewest labels from which on the verdict is the same."""
    sizes = list(points)
    scores = rising([float(np.mean([score for _, score in points[size]])) for size in sizes])
    shares = rising([float(np.mean([name == way for name, _ in points[size]])) for size in sizes])
    at = sizes.index(data.labels)
    fits = [s for s, a, b in zip(sizes, scores, shares, strict=True) if a >= level - 1e-9 and b >= agree - 1e-9]
    return Outcome(min(fits, default=None), float(scores[at]), float(shares[at]))


def compare(data: LabelSet, orders: Sequence[Order], seeds: int) -> tuple[str, dict[str, Outcome]]:
    """Random order's choice, and each order beside random order."""
    base = curve(data, RANDOM, seeds)
    way = Counter(name for name, _ in base[data.labels]).most_common(1)[0][0]
    own = outcome(data, base, way, 0.0, 0.0)
    results = {RANDOM.name: replace(own, labels=outcome(data, base, way, own.agree, own.score).labels)}
    for order in orders:
        results[order.name] = outcome(data, curve(data, order, seeds), way, own.agree, own.score)
    return way, results


TUNED = (
    OURS,
    replace(OURS, name="a quarter at random", share=0.25),
    replace(OURS, name="two fifths at random", share=0.4),
    replace(OURS, name="a quarter typical", typical=0.25),
)


def page(paths: Sequence[Path], encoder: str, cache: Path, seeds: int, tune: bool) -> Iterator[str]:
    """The table, line by line."""
    orders = TUNED if tune else (OURS,)
    yield "| set | pool | N | verdict | random | order | labels for the same | share | at N | runs that agree |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for path in paths:
        data = read_set(path, encoder, cache, tune)
        way, results = compare(data, orders, seeds)
        base = results[RANDOM.name]
        for name, one in results.items():
            share = "more than 110 %" if one.labels is None else f"{one.labels / data.labels:.0%}"
            yield (
                f"| {data.name} | {data.pool} | {data.labels} | {way} | {base.score:.1%} | {name} | "
                f"{one.labels or '-'} | {share} | {one.score:.1%} | {one.agree:.0%} of {seeds} |"
            )
    yield ""
    yield f"{time.process_time() / 60:.1f} minutes of one core."


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--evals", type=Path, required=True, help="a folder of sets")
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache"), help="where vectors are kept")
    parser.add_argument("--seeds", type=int, default=8, help="runs of each order")
    parser.add_argument("--tune", action="store_true", help="compare settings, on dev rows")
    parser.add_argument("--only", nargs="*", default=(), help="names of sets")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    paths = [path for path in sorted(given.evals.glob("*.jsonl")) if not given.only or path.stem in given.only]
    write_table(page(paths, given.encoder, given.cache, given.seeds, given.tune), given.out)


if __name__ == "__main__":
    main()
