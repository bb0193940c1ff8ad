"""From replies to records and from records to numbers, once for the whole package: label codes, totals, comparisons.

The decision's own arithmetic is in `verdict`; what stands here makes its inputs, the same for a way's dev scores, a
race, the playground, the JSON of a run and the verdict. What an unread answer counts is `Record.points`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from whichway.contracts import Metric
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Example, Outcome, Record, Reply, Split
from whichway.prompts.answer_extraction import CLOSE, spoken
from whichway.verdict.compare import Arm, Comparison, Table
from whichway.verdict.sample_size import OMEGA2
from whichway.verdict.stats import BLOCK, FloatArray, IntArray

TRIMMED = "longer than the model reads: without its"  # what a record says of a conversation that was trimmed
CUT = "cut off after"  # what a record says of an answer that did not end by itself
LEAST_CHANCE = 1e-6  # of a label that a reply gives no score
UNREAD = -1  # the code of an answer that could not be read
RIGHT = 0.7  # share of rows that a made-up answer gets right
ALIKE = 0.71  # correlation of two made-up ways' label scores: their right rows then correlate by .5
MADE_UP, WORLDS = 300, 6  # rows of a made-up test, and how many are made up


class Scored(Protocol):
    """A row as scoring sees it; `Example` and `runs.run.RunRow` are such."""

    @property
    def id(self) -> str:
        """Digest of its content."""
        ...

    @property
    def target(self) -> str:
        """The wanted answer."""
        ...

    @property
    def group(self) -> str | None:
        """What it must not be split from; None where it stands alone."""
        ...


def judge(
    metric: Metric,
    candidate: str,
    example: Example,
    split: Split,
    repeat: int,
    reply: Reply,
    usd: float,
    cached: bool,
) -> Record:
    """Reply -> record: the one place where a record is made.

    A wanted answer that brings its reasoning is learned with it; the metric compares what comes after.

    Raises:
        WayFailed: the metric reads label scores, and the reply has an answer but no scores.
    """
    outcome: Outcome
    if reply.finish == "error":
        outcome, value, why = "error", None, reply.error
    elif reply.unread:
        outcome, value, why = "unparsed", None, reply.unread
    else:
        score = metric(_without_reasoning(example), reply.text)
        outcome, value, why = ("unparsed" if score.value is None else "ok"), score.value, score.why or reply.thoughts
        if reply.finish == "length":
            why = "; ".join(filter(None, (why, f"{CUT} {reply.tokens_out} tokens")))
    if reply.trimmed:
        why = "; ".join(filter(None, (why, f"{TRIMMED} {reply.trimmed} oldest turns")))
    if metric.needs_scores and outcome == "ok" and not reply.scores:
        raise WayFailed(no_scores(metric))
    return Record(
        candidate=candidate,
        example=example.id,
        split=split,
        repeat=repeat,
        outcome=outcome,
        score=value,
        text=reply.text,
        why=why,
        tokens_in=reply.tokens_in,
        tokens_cached=reply.tokens_cached,
        tokens_out=reply.tokens_out,
        seconds=reply.seconds,
        usd=usd,
        cached=cached,
        scores=reply.scores if metric.needs_scores and outcome == "ok" else {},
        wall=reply.wall,
        stage=reply.stage,
    )


def _without_reasoning(example: Example) -> Example:
    return replace(example, target=spoken(example.target)[0]) if CLOSE in example.target else example


def refuse_written(metric: Metric, candidate: Candidate) -> None:
    """Refuse a candidate that writes its answers where the metric reads label scores, before it is asked.

    Raises:
        WayFailed: it does.
    """
    if metric.needs_scores and any(stage.decoding.mode == "generate" for stage in candidate.stages):
        raise WayFailed(f"its answers are written, and {no_scores(metric)}")


def no_scores(metric: Metric) -> str:
    """Why answers without label scores cannot be judged."""
    return (
        f"the metric {metric.name} is computed from each label's score, which these answers do not have. "
        "Leave the way out, or take a metric of the answers alone, such as accuracy"
    )


def scores_of(records: Sequence[Record]) -> FloatArray:
    """The points of each record, shape (n,)."""
    return np.array([record.points for record in records], dtype=float)


def clusters(rows: Sequence[Scored]) -> tuple[str, ...] | None:
    """The cluster of each row, for intervals; None where every row stands alone."""
    return tuple(row.group or row.id for row in rows) if any(row.group for row in rows) else None


@dataclass(frozen=True, slots=True)
class LabelCodes:
    """Labels as integers, those that a row wants sorted by their normal form: what an `Aggregate` works on."""

    targets: IntArray  # (n,)
    places: Mapping[str, int]  # normal form of a wanted label -> its code
    metric: Metric

    def answers(self, records: Sequence[Record]) -> IntArray:
        """(n,) the code of each answer: `UNREAD` for one that could not be read, below it for labels no row wants."""
        others: dict[str, int] = {}
        codes = []
        for record in records:
            label = self.metric.normal(record.text)
            if record.outcome != "ok":
                codes.append(UNREAD)
            elif label in self.places:
                codes.append(self.places[label])
            else:
                codes.append(others.setdefault(label, UNREAD - 1 - len(others)))
        return np.array(codes, dtype=np.int64)

    def scores(self, records: Sequence[Record]) -> FloatArray:
        """(n, L) log-probability of each label, wanted ones first; a row of NaN for an answer without scores."""
        columns = dict(self.places)
        for record in records:
            for label in record.scores:
                columns.setdefault(self.metric.normal(label), len(columns))
        matrix = np.full((len(records), len(columns)), np.nan)
        for row, record in zip(matrix, records, strict=True):
            if record.outcome == "ok" and record.scores:
                row[:] = math.log(LEAST_CHANCE)
                for label, score in record.scores.items():
                    row[columns[self.metric.normal(label)]] = score
        return matrix

    def read(self, records: Sequence[Record]) -> NDArray[Any]:
        """What the metric's aggregate reads of the answers."""
        return self.scores(records) if self.metric.needs_scores else self.answers(records)


def label_codes(rows: Sequence[Scored], metric: Metric) -> LabelCodes:
    """The codes of the rows' targets, and of the answers to come."""
    gold = [metric.normal(row.target) for row in rows]
    places = {label: place for place, label in enumerate(sorted(set(gold)))}
    return LabelCodes(np.array([places[label] for label in gold], dtype=np.int64), places, metric)


def is_mean(metric: Metric) -> bool:
    """Whether a metric is the mean of the rows' scores; else `Metric.aggregate` makes one number of all rows."""
    return metric.aggregate == "mean"


def total(metric: Metric, rows: Sequence[Scored], records: Sequence[Record]) -> float:
    """The metric over rows, by its own aggregate; `records` are in the order of `rows`.

    Rows that do not define it, as those of a single label at a first look, show nothing: the middle of its range.
    """
    if metric.aggregate == "mean":
        return sum(record.points for record in records) / max(1, len(records))
    codes = label_codes(rows, metric)
    value = float(metric.aggregate(codes.targets, codes.read(records), np.ones((1, len(rows))))[0])
    return value if math.isfinite(value) else (metric.lowest + 1) / 2


def row_values(metric: Metric, rows: Sequence[Scored], records: Sequence[Record]) -> FloatArray:
    """What each row adds to the metric, shape (n,): the values whose paired differences tell candidates apart.

    The points of each record for a mean. Otherwise the jackknife's pseudo-values (Efron & Tibshirani 1993, chapter 11),
    n times the metric less n-1 times the metric without the row: their mean is the metric less its bias, and the
    standard error of a mean holds for them.
    """
    if metric.aggregate == "mean" or len(rows) < 2:
        return scores_of(records)
    n, codes = len(rows), label_codes(rows, metric)
    answers, whole, parts = codes.read(records), total(metric, rows, records), []
    for start in range(0, n, BLOCK):
        without = np.ones((min(BLOCK, n - start), n))
        without[np.arange(len(without)), start + np.arange(len(without))] = 0.0
        parts.append(metric.aggregate(codes.targets, answers, without))
    left = np.concatenate(parts)
    values: FloatArray = n * whole - (n - 1) * np.where(np.isfinite(left), left, whole)
    return values


def row_variance(metric: Metric, rows: Sequence[Scored]) -> float:
    """How much the difference of two ways varies from row to row, before anything is measured.

    For a mean the constant `sample_size.OMEGA2`. Otherwise what made-up answers to these rows' labels give under the
    same assumptions: two ways that are right on 70 % of rows, whose right rows correlate by .5; a label's
    score is normal noise, and the wanted label's is higher (Thurstone 1927).
    """
    if metric.aggregate == "mean" or len({row.target for row in rows}) < 2:
        return OMEGA2
    rng = np.random.default_rng(41)
    few = [rows[i] for i in sorted(rng.permutation(len(rows))[:MADE_UP])]
    labels = sorted({row.target for row in few})
    wanted, size, variances = np.array([labels.index(row.target) for row in few]), (len(few), len(labels)), []
    for _ in range(WORLDS):
        shared = math.sqrt(ALIKE) * rng.normal(size=size)
        noise = (shared + math.sqrt(1 - ALIKE) * rng.normal(size=size) for _ in range(2))
        first, second = (row_values(metric, few, _made_up(few, labels, wanted, one)) for one in noise)
        variances.append(float((second - first).var(ddof=1)))
    return max(sum(variances) / WORLDS, 1 / len(few))


def _made_up(rows: Sequence[Scored], labels: Sequence[str], wanted: IntArray, noise: FloatArray) -> list[Record]:
    """Answers by label scores that are noise, (n, labels), the wanted one's lifted until it leads on enough rows."""
    here = np.arange(len(rows))
    others = noise.copy()
    others[here, wanted] = -np.inf
    scores = noise.copy()
    scores[here, wanted] += np.quantile(others.max(axis=1) - noise[here, wanted], RIGHT)
    records = []
    for row, own in zip(rows, scores.tolist(), strict=True):
        text = labels[int(np.argmax(own))]
        named = dict(zip(labels, own, strict=True))
        point = float(text == row.target)
        records.append(Record("", row.id, "test", 0, "ok", point, text, "", 0, 0, 0, 0.0, 0.0, scores=named))
    return records


def loss_of(reply: Reply, target: str) -> float:
    """Nats of the wanted label among the labels; of one chance in a million where the reply has no scores."""
    if target not in reply.scores:
        return -math.log(LEAST_CHANCE)
    top = max(reply.scores.values())
    whole = top + math.log(sum(math.exp(s - top) for s in reply.scores.values()))
    return min(whole - reply.scores[target], -math.log(LEAST_CHANCE))


def arm(name: str, rows: Sequence[Scored], records: Sequence[Record], metric: Metric) -> Arm:
    """One candidate's answers to rows as an arm with one seed."""
    codes = None if is_mean(metric) else label_codes(rows, metric)
    return Arm(
        way=name,
        kind="prompt",
        scores=scores_of(records)[None, :],
        targets=codes.targets if codes else None,
        answers=codes.read(records)[None] if codes else None,
        groups=clusters(rows),
        aggregate=metric.aggregate,
        lowest=metric.lowest,
        plain=metric.plain,
    )


def measured(
    rows: Sequence[Scored], records: Sequence[Record], metric: Metric, confidence: float
) -> tuple[float, float | None, float | None]:
    """One candidate's score on rows with its interval; None where there are too few rows for one."""
    table = Table([arm("", rows, records, metric)], confidence)
    value, ends = table.value(0), table.interval(0)
    return (value, None, None) if ends is None else (value, min(ends[0], value), max(ends[1], value))


def paired(
    rows: Sequence[Scored],
    first: Sequence[Record],
    second: Sequence[Record],
    metric: Metric,
    confidence: float = 0.95,
) -> tuple[Table, Comparison]:
    """Two candidates on the same rows: the table of both, and second minus first."""
    table = Table([arm("first", rows, first, metric), arm("second", rows, second, metric)], confidence)
    return table, table.compare(0, 1)
