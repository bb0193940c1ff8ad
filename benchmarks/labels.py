"""Which rows to label first: `whichway label`'s order beside random order, with the known labels as the annotator.

For each set the training rows are the unlabelled pool. Random order labels N rows drawn at random. The tool's order
labels a share drawn at random, which alone tests, and rows that its head doubts. After every few labels the cheap ways
(the most frequent label, word counts, a sentence encoder) are compared as the tool compares them, by folds over the
rows drawn at random; the way that is chosen is then fitted to all labelled rows and answers the test rows.

"The same verdict" as random order with N labels means both: the way that most of random order's runs choose at N is
chosen by four runs in five (by as many as there, where these are fewer), and the mean accuracy of what is chosen is at
least random order's at N. The fewest such labels are divided by N. Means over runs are made monotone in the number of
labels first (isotonic regression), for both orders, so that a lucky size counts for neither; that is why random order
itself may get there a little before N. "By accuracy alone" leaves the first condition out, "within a point" asks for
one point less than random order's accuracy, which is the margin below which the tool calls ways equal.

The advice to stop is looked at every 20 labels, as on the page: when it first came, and how much accuracy the way that
was chosen then lacks to the best of the cheap ways fitted to the whole pool.

Where answers are no labels (each has its own, as JSON objects) no head can be fitted: the tool's order is by clusters
alone, word counts answer with the nearest row's answer, and a row counts as right when it is answered word for word.

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
from whichway.app.labelling.label_pool import SHARE
from whichway.app.labelling.labelling_session import BATCH, FIRST_TYPICAL
from whichway.app.labelling.quick_head import fit_head
from whichway.app.labelling.row_vectors import RowVectors, row_vectors
from whichway.app.labelling.stop_advice import LabelLook, advise_stop, look
from whichway.tasks.load import load
from whichway.tasks.spec import from_flags

POOL, ASKED = 1000, 500  # rows of a set that are used: to label, to answer
SIZES = (40, 60, 80, 100, 120, 140, 160, 180, 200, 220, 240, 260, 280, 300, 320)
TARGET = 300  # N, labels in random order; 200 where the pool is small
SMALL = 600
MARGIN = 0.01
AGREE = 0.8  # share of the runs that are to choose the same way
REPEATED = 3  # rows that a label has in the mean, below which answers are no labels


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


    @property
    def closed(self) -> bool:
        """Whether answers are labels."""
        return len(self.targets) >= REPEATED * len(set(self.targets))

    @property
    def ways(self) -> dict[str, Predict]:
        """The cheap ways, by name."""
        ways = cheap_ways(self.vectors)
        return ways if self.closed else {"base_majority": ways["base_majority"], "base_tfidf": self._nearest}

    def _nearest(self, rows: Sequence[int], labels: Sequence[str], wanted: Sequence[int]) -> list[str]:
        likeness = self.vectors.words[list(wanted)] @ self.vectors.words[list(rows)].T
        return [labels[int(k)] for k in np.asarray(likeness.argmax(axis=1)).ravel()]


@dataclass(frozen=True)
class Order:
    """How rows are chosen."""

    name: str
    share: float  # of labels on rows drawn at random; 1: random order


RANDOM = Order("random", 1.0)
OURS = Order("whichway label", SHARE)


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
        wanted = FIRST_TYPICAL if not rows else BATCH
        count = min(len(drawn), round(order.share * (len(rows) + wanted)) - sum(row.drawn for row in rows))
        places = _chosen(data, order, rows, chosen, wanted - count)
        taken = set(places)
        chosen = [place for place in chosen if place not in taken]
        batch = [LabelledRow(place, data.targets[place], True) for place in drawn[:count]]
        batch += [LabelledRow(place, data.targets[place], False) for place in places]
        drawn = drawn[count:]
        rows += batch
        yield from (batch[place] for place in rng.permutation(len(batch)))


def _chosen(data: LabelSet, order: Order, rows: list[LabelledRow], places: list[int], count: int) -> list[int]:
    dense, known = data.vectors.dense, [row.place for row in rows]
    head = fit_head(dense[known], [row.label for row in rows]) if rows and data.closed else None
    probabilities = None if head is None else head.probabilities(dense)
    return next_rows.teaching_rows(dense, places, count, known, probabilities)


def right_share(predict: Predict, rows: Sequence[LabelledRow], data: LabelSet) -> float:
    """Accuracy on the rows that are answered, of a way fitted to the labelled ones."""
    asked = range(data.pool, len(data.targets))
    replies = predict([row.place for row in rows], [row.label for row in rows], asked)
    return float(np.mean([reply == data.targets[place] for place, reply in zip(asked, replies, strict=True)]))


@dataclass(frozen=True)
class Run:
    """One run of an order: at each size the chosen way with its accuracy, and where it was advised to stop."""

    points: dict[int, tuple[str, float]]
    stop: int | None
    at_stop: float | None  # the accuracy of what was chosen there


def run(data: LabelSet, order: Order, seed: int) -> Run:
    """Label a pool in an order, up to a tenth beyond N."""
    ways, rows, points = data.ways, [], {}
    looks: list[LabelLook] = []
    stop, at_stop = None, None
    for row in labelled_order(data, order, seed):
        rows.append(row)
        if len(rows) > 1.1 * data.labels:
            break
        if len(rows) not in SIZES:
            continue
        verdict = cheap_verdict(data.vectors, rows, MARGIN, ways)
        name = verdict.choice if verdict else "base_majority"
        points[len(rows)] = (name, right_share(ways[name], rows, data))
        if order is OURS and data.closed and stop is None:
            drawn = sum(one.drawn for one in rows)
            one = look(data.vectors, rows, round(order.share * data.pool) - drawn, verdict)
            looks += [] if one is None else [one]
            if advise_stop(looks, drawn).stop:
                stop, at_stop = len(rows), points[len(rows)][1]
    return Run(points, stop, at_stop)


@dataclass(frozen=True)
class Curves:
    """Means over runs at each size, made monotone: accuracy of what is chosen, share of runs that choose a way."""

    sizes: tuple[int, ...]
    scores: Any
    shares: Any

    @classmethod
    def of(cls, runs: Sequence[Run], way: str) -> Curves:
        """The curves of some runs."""
        sizes = tuple(runs[0].points)
        scores = [float(np.mean([one.points[size][1] for one in runs])) for size in sizes]
        shares = [float(np.mean([one.points[size][0] == way for one in runs])) for size in sizes]
        return cls(sizes, rising(scores), rising(shares))

    def at(self, size: int) -> tuple[float, float]:
        """Accuracy and share at a size."""
        place = self.sizes.index(size)
        return float(self.scores[place]), float(self.shares[place])

    def fewest(self, level: float, agree: float) -> int | None:
        """The fewest labels that reach both; None: more than were looked at."""
        fits = zip(self.sizes, self.scores, self.shares, strict=True)
        return min((n for n, score, share in fits if score >= level - 1e-9 and share >= agree - 1e-9), default=None)


def rising(values: Sequence[float]) -> Any:
    """A curve made monotone."""
    from sklearn.isotonic import IsotonicRegression

    return IsotonicRegression().fit_transform(np.arange(len(values)), values)


TUNED = (
    OURS,
    replace(OURS, name="a quarter at random", share=0.25),
    replace(OURS, name="half at random", share=0.5),
)


def lines_of(data: LabelSet, orders: Sequence[Order], seeds: int) -> Iterator[str]:
    """Rows of the table for a set."""
    whole = [LabelledRow(place, data.targets[place], True) for place in range(data.pool)]
    best = max(right_share(predict, whole, data) for predict in data.ways.values())
    base_runs = [run(data, RANDOM, seed) for seed in range(seeds)]
    way = Counter(one.points[data.labels][0] for one in base_runs).most_common(1)[0][0]
    level, agree = Curves.of(base_runs, way).at(data.labels)
    for order in (RANDOM, *orders):
        runs = base_runs if order is RANDOM else [run(data, order, seed) for seed in range(seeds)]
        curves = Curves.of(runs, way)
        score, share = curves.at(data.labels)
        needs = [curves.fewest(*pair) for pair in ((level, min(AGREE, agree)), (level, 0.0), (level - MARGIN, 0.0))]
        cells = [f"{n} ({n / data.labels:.0%})" if n else f"over {max(curves.sizes)}" for n in needs]
        cells = [data.name, str(data.labels), way, order.name, f"{score:.1%}", f"{share:.0%}", *cells]
        yield f"| {' | '.join([*cells, stops(runs, best) if order is OURS and data.closed else ''])} |"


def stops(runs: Sequence[Run], best: float) -> str:
    """When the advice to stop came, and what the chosen way lacked then."""
    told = [one for one in runs if one.stop is not None]
    if not told:
        return f"none of {len(runs)}"
    labels = np.mean([one.stop for one in told])
    lack = np.mean([best - (one.at_stop or 0.0) for one in told])
    return f"{len(told)} of {len(runs)} at {labels:.0f}, lacking {100 * lack:.1f} points"


def page(paths: Sequence[Path], encoder: str, cache: Path, seeds: int, tune: bool) -> Iterator[str]:
    """The table, line by line."""
    yield "# Labels in the order of `whichway label` beside random order"
    yield ""
    yield f"`benchmarks/labels.py` says what is measured. {seeds} runs of each order, pools of up to {POOL} rows,"
    yield f"{'dev' if tune else 'test'} rows answer. Settings were chosen on dev rows."
    yield ""
    yield (
        "| set | N | random order's choice | order | accuracy at N | runs that choose it | "
        "labels for the same verdict | by accuracy alone | within a point | told to stop |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for path in paths:
        yield from lines_of(read_set(path, encoder, cache, tune), TUNED if tune else (OURS,), seeds)
    yield ""
    yield f"{time.process_time() / 60:.1f} minutes of one core, vectors not counted."


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--evals", type=Path, required=True, help="a folder of sets")
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache"), help="where vectors are kept")
    parser.add_argument("--seeds", type=int, default=6, help="runs of each order")
    parser.add_argument("--tune", action="store_true", help="compare settings, on dev rows")
    parser.add_argument("--only", nargs="*", default=(), help="names of sets")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    paths = [path for path in sorted(options.evals.glob("*.jsonl")) if not options.only or path.stem in options.only]
    write_table(page(paths, options.encoder, options.cache, options.seeds, options.tune), options.out)


if __name__ == "__main__":
    main()
