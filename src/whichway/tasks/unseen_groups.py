"""Groups that nobody named: a column whose rows are alike, rows that are alike in file order or in their texts.

Rows of one sender, ticket series or document are no independent rows. Where the group is not named they may lie on both
sides of the split, so that scores are too good, and every interval counts them as independent, so that it is too short:
with groups of 20 rows a 95 % interval may cover 73 %. `whichway check` says what it sees; the split is never changed.

A column is looked at when its values repeat, are many, and do not look like labels, languages, dates or measures. It
behaves like a group when pairs of rows with one value are alike far more often than pairs with two: in their words (by
the share of words that both have) or in their labels. Runs in the file are pairs of neighbours against other pairs of
the same label, as files are often sorted by label; families are rows of ten words and more that
share four of ten.

What naming it would do to intervals is the design effect `√(1 + (m − 1)·ρ)` (Kish 1965), m the size of the group of a
row and ρ the intraclass correlation of the errors of a naive Bayes classifier that was trained on other groups; where
there are no labels, of what the rows share in words, which is an upper bound for most measures.
"""

from __future__ import annotations

import math
import random
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whichway.nouns import Example
from whichway.tasks.near_duplicates import skeleton

COLUMNS = 12  # looked at
CELLS = 1_200_000  # of them, in long files
SAMPLED = 1200  # rows whose words are read for one column
PER_GROUP = 12  # of them in one group
BLOCK = 150  # neighbouring rows in a sample of a long file
PAIRS = 600
LEAST_GROUPS = 8
LARGEST = 40  # rows of a group on average; larger ones are categories
REPEATED = 0.3  # share of rows whose value repeats
SURE = 5.0  # standard errors between alike pairs and others
MORE_WORDS, MORE_LABELS = 0.04, 0.15  # by how much more pairs must be alike
TIMES = 1.4  # and how often as much
FAMILY = 0.4  # shared words from which rows are of one family
LINKED = 0.1  # shared words from which neighbours are of one run, at the least
FEW_WORDS = 10
FAMILY_ROWS = 0.15  # share of rows in families of three or more
TEMPLATE = 0.3  # share of rows in the largest family above which all rows follow one template
NOTHING = 1.05
BUCKETS = 4096  # of hashed words
MOST_LABELS = 60

_DATE = re.compile(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?$|^\d{1,2}:\d{2}|^\d{4}-\d{2}$|^\w{3,9} \d{1,2},? \d{4}$")
_NUMBER = re.compile(r"^[-+]?[\d.,]+(e[-+]?\d+)?%?$", re.IGNORECASE)
_LANGUAGE = re.compile(r"^[a-z]{2,3}([-_][A-Za-z]{2,4})?$")
_CATEGORY = re.compile(
    r"(^|[_\s-])(lang(uage)?|locale|country|date|time|year|month|day|label|class|category|topic|intent|type|kind|status|"
    r"priority|severity|score|rating|stars|length|count|amount|price|age|weight|size|confidence|sentiment|tag|product|"
    r"version|source|channel)s?$",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(^|[_\s-])(id|no|nr|num|number|key|uuid|ref|reference)$|Id$", re.IGNORECASE)
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class UnseenGroup:
    """Rows that belong together, and what naming them would change."""

    column: str  # "": no column says it
    where: str  # "column", "order" or "words"
    groups: int  # different values, or families, in all rows or in the sample
    rows: int  # of these
    words: tuple[float, float]  # shared by two rows of one group, and by two others
    labels: tuple[float, float] | None  # share of such pairs with the same label
    wider: float  # by which factor intervals would grow
    bound: bool  # whether that is an upper bound: there are no labels


class Words:
    """Words of rows as sets of hashes, read once each."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples
        self.known: dict[int, frozenset[int]] = {}

    def of(self, row: int) -> frozenset[int]:
        """The hashed words of a row."""
        if row not in self.known:
            words = set(skeleton(self.examples[row].text).split())
            self.known[row] = frozenset(zlib.crc32(word.encode()) % BUCKETS for word in words)
        return self.known[row]

    def shared(self, pairs: Sequence[tuple[int, int]]) -> Array:
        """Share of words that both rows of each pair have, of those that either has."""
        sets = [(self.of(a), self.of(b)) for a, b in pairs]
        return np.array([len(a & b) / max(1, len(a | b)) for a, b in sets])

    def same_label(self, pairs: Sequence[tuple[int, int]]) -> Array:
        """Whether both rows of each pair have the same target."""
        return np.array([float(self.examples[a].target == self.examples[b].target) for a, b in pairs])


def unseen_groups(
    examples: Sequence[Example], fields: Sequence[Mapping[str, str]], columns: Sequence[str], labelled: bool
) -> list[UnseenGroup]:
    """What behaves like a group though none was named: columns, the clearest first; else runs or families of rows.

    Args:
        examples: in file order.
        fields: all columns of each row.
        columns: that may be groups.
        labelled: whether targets are labels.
    """
    words = Words(examples)
    groups = [
        group
        for name in columns[: min(COLUMNS, max(3, CELLS // max(1, len(examples))))]
        if (group := _column(words, name, [row.get(name, "") for row in fields], labelled)) is not None
    ]
    if groups:
        return sorted(groups, key=lambda group: -group.wider)
    return [group for group in (_runs(words, labelled), _families(words, labelled)) if group is not None][:1]


# columns


def _column(words: Words, name: str, values: Sequence[str], labelled: bool) -> UnseenGroup | None:
    """A column, where it behaves like a group."""
    counts = Counter(values)
    counts.pop("", None)
    if not _may_group(name, counts, len(values)) or (labelled and _like_label(words.examples, values, counts)):
        return None
    rng = random.Random(name)
    many = sorted(value for value, count in counts.items() if count > 1)
    some = rng.sample(many, min(len(many), SAMPLED // 3))
    members: dict[str, list[int]] = {value: [] for value in some}
    for row, value in enumerate(values):
        if value in members:
            members[value].append(row)
    families = [rng.sample(rows, min(len(rows), PER_GROUP)) for rows in members.values()]
    families = families[: max(LEAST_GROUPS, int(SAMPLED / np.mean([len(rows) for rows in families])))]
    seen = _alike(words, families, labelled, rng)
    if seen is None or (_measure(name, counts) and not seen.in_words):
        return None
    sizes = np.array(list(counts.values()), dtype=float)
    wider = _wider(words, families, labelled, seen, float((sizes**2).sum() / sizes.sum()))
    return UnseenGroup(name, "column", len(counts), len(values), seen.words, seen.labels, wider, not labelled)


def _may_group(name: str, counts: Mapping[str, int], rows: int) -> bool:
    """Whether a column's values repeat as those of a group do, and do not look like something else."""
    repeated = sum(count for count in counts.values() if count > 1)
    if repeated < REPEATED * rows or len(counts) < max(LEAST_GROUPS, rows / LARGEST / 2):
        return False
    if sum(counts.values()) > LARGEST * len(counts) or (_CATEGORY.search(name) and not _NAMED.search(name)):
        return False
    some = list(counts)[:200]
    others = (_DATE, _LANGUAGE)
    return not any(sum(bool(form.match(value)) for value in some) > 0.9 * len(some) for form in others)


def _measure(name: str, counts: Mapping[str, int]) -> bool:
    """Whether a column holds numbers that are no names: an age goes with a label, and is no group."""
    some = list(counts)[:200]
    return not _NAMED.search(name) and all(_NUMBER.match(value) for value in some)


def _like_label(examples: Sequence[Example], values: Sequence[str], counts: Mapping[str, int]) -> bool:
    """Whether a column is a coarser or finer spelling of the label: few values for a label, each with one label."""
    labels = len({example.target for example in examples})
    if len(counts) > 4 * labels:
        return False
    pairs = Counter((value, example.target) for value, example in zip(values, examples, strict=True) if value)
    purest: dict[str, int] = defaultdict(int)
    for (value, _), count in pairs.items():
        purest[value] = max(purest[value], count)
    return sum(purest.values()) > 0.9 * sum(counts.values())


# pairs


@dataclass(frozen=True, slots=True)
class _Seen:
    words: tuple[float, float]
    labels: tuple[float, float] | None
    in_words: bool


def _alike(words: Words, families: Sequence[Sequence[int]], labelled: bool, rng: random.Random) -> _Seen | None:
    """How alike rows of one family are, beside rows of two; None where that may be chance."""
    if len(families) < LEAST_GROUPS:
        return None
    each = max(1, PAIRS // len(families))
    within = [tuple(rng.sample(list(rows), 2)) for rows in families for _ in range(min(each, len(rows) - 1))]
    across: list[tuple[int, int]] = []
    while len(across) < PAIRS:
        one, two = rng.sample(range(len(families)), 2)
        across.append((rng.choice(families[one]), rng.choice(families[two])))
    return _compared(words, within[: 2 * PAIRS], across, labelled)


def _compared(
    words: Words, within: Sequence[tuple[int, ...]], across: Sequence[tuple[int, int]], labelled: bool
) -> _Seen | None:
    """Two kinds of pairs; None where the first are not alike far more often."""
    inside = [(pair[0], pair[1]) for pair in within]
    own, other = words.shared(inside), words.shared(across)
    in_words = _clear(own, other, MORE_WORDS)
    same = (words.same_label(inside), words.same_label(across)) if labelled else None
    in_labels = same is not None and _clear(*same, MORE_LABELS)
    if not (in_words or in_labels):
        return None
    same_means = None if same is None else (float(same[0].mean()), float(same[1].mean()))
    return _Seen((float(own.mean()), float(other.mean())), same_means, in_words)


def _clear(own: Array, other: Array, least: float) -> bool:
    """Whether the first mean is above the second by far more than chance, and by an amount that matters."""
    if len(own) < 2:
        return False
    gap = own.mean() - other.mean()
    error = math.sqrt(own.var(ddof=1) / len(own) + other.var(ddof=1) / len(other) + 1e-9)
    return bool(gap > SURE * error and gap > least and own.mean() > TIMES * other.mean())


# rows without a column


def _runs(words: Words, labelled: bool) -> UnseenGroup | None:
    """Neighbours in the file that are alike."""
    rng, blocks = random.Random("runs"), _blocks(len(words.examples))
    neighbours = [(row, row + 1) for block in blocks for row in block[:-1]]
    if len(neighbours) < 4 * LEAST_GROUPS:
        return None
    by_label: dict[str, list[int]] = defaultdict(list)
    for block in blocks:
        for row in block:
            by_label[words.examples[row].target if labelled else ""].append(row)
    others = [tuple(rng.sample(rows, 2)) for rows in by_label.values() if len(rows) > 5 for _ in range(len(rows))]
    across = [(a, b) for a, b in others if abs(a - b) > 2 * PER_GROUP][: 2 * PAIRS]
    same = [pair for pair in neighbours if not labelled or words.same_label([pair])[0]]
    if len(across) < 4 * LEAST_GROUPS or len(same) < 4 * LEAST_GROUPS:
        return None
    seen = _compared(words, same, across, False)
    if seen is None:
        return None
    border = max(LINKED, float(np.quantile(words.shared(across), 0.99)))
    families = [run for block in blocks for run in _cut(words, block, border)]
    return _of_families(words, families, labelled, "order", sum(len(block) for block in blocks), seen.words)


def _blocks(rows: int) -> list[range]:
    """All rows in one block, or blocks of neighbours from all over a long file."""
    if rows <= SAMPLED:
        return [range(rows)]
    count = SAMPLED // BLOCK
    return [range(start, start + BLOCK) for start in (i * (rows - BLOCK) // (count - 1) for i in range(count))]


def _cut(words: Words, block: range, border: float) -> Iterator[list[int]]:
    """Runs of rows each of which shares more words than a border with one of the two before it."""
    run = [block[0]]
    for row in block[1:]:
        if words.shared([(before, row) for before in run[-2:]]).max() > border:
            run.append(row)
            continue
        yield run
        run = [row]
    yield run


def _families(words: Words, labelled: bool) -> UnseenGroup | None:
    """Rows anywhere in the sample that share half of their words."""
    rows = [row for block in _blocks(len(words.examples)) for row in block if len(words.of(row)) >= FEW_WORDS]
    if len(rows) < 4 * LEAST_GROUPS:
        return None
    held = np.zeros((len(rows), BUCKETS // 2), dtype=np.float32)
    for place, row in enumerate(rows):
        held[place, [code % (BUCKETS // 2) for code in words.of(row)]] = 1
    sizes = held.sum(axis=1)
    common = held @ held.T
    near = common > FAMILY * (sizes[:, None] + sizes[None, :] - common)
    families: list[list[int]] = []
    free = np.ones(len(rows), dtype=bool)
    for place in np.argsort(-near.sum(axis=1), kind="stable"):
        if free[place]:
            mine = np.flatnonzero(near[place] & free)
            free[mine] = False
            families.append([rows[i] for i in mine])
    others = ~near
    if not others.any():  # all rows are one family: a template
        return None
    apart = float((common / np.maximum(1, sizes[:, None] + sizes[None, :] - common))[others].mean())
    several = [family for family in families if len(family) > 1]
    inside = words.shared([(f[0], f[1]) for f in several]) if several else np.zeros(1)
    return _of_families(words, families, labelled, "words", len(rows), (float(inside.mean()), apart))


def _of_families(
    words: Words, families: Sequence[Sequence[int]], labelled: bool, where: str, rows: int, shared: tuple[float, float]
) -> UnseenGroup | None:
    """Families of rows, where they are many and hold many rows; one that holds most rows is a template of all."""
    large = [list(family) for family in families if len(family) > 2]
    inside = sum(map(len, large))
    if len(large) < LEAST_GROUPS or inside < FAMILY_ROWS * rows or max(map(len, large)) > TEMPLATE * rows:
        return None
    sizes = np.array([len(family) for family in families], dtype=float)
    seen = _Seen(shared, None, True)
    wider = _wider(words, list(families), labelled, seen, float((sizes**2).sum() / sizes.sum()))
    return UnseenGroup("", where, len(large), inside, shared, None, wider, not labelled)


# what it would change


def _wider(words: Words, families: Sequence[Sequence[int]], labelled: bool, seen: _Seen, size: float) -> float:
    """By which factor intervals grow: √(1 + (m − 1)·ρ), m the mean size of the group that a row is in."""
    if labelled:
        share = correlation(*_errors(words, families))
    else:
        share = max(0.0, (seen.words[0] - seen.words[1]) / max(1e-9, 1 - seen.words[1]))
    return math.sqrt(1 + max(0.0, size - 1) * share)


def _errors(words: Words, families: Sequence[Sequence[int]], folds: int = 4) -> tuple[Array, Array]:
    """Rows that naive Bayes answers rightly when it was trained on other groups, and the groups of the rows."""
    rows = [row for family in families for row in family]
    codes = np.array([code for code, family in enumerate(families) for _ in family])
    names = [name for name, _ in Counter(words.examples[row].target for row in rows).most_common(MOST_LABELS)]
    place = {name: n for n, name in enumerate(names)}
    labels = np.array([place.get(words.examples[row].target, -1) for row in rows])
    tokens = [np.array(sorted(words.of(row)), dtype=np.int64) for row in rows]
    side = np.random.default_rng(0).permutation(len(families))[codes] % folds
    right = np.zeros(len(rows))
    for fold in range(folds):
        counts = np.full((len(names), BUCKETS), 0.1)
        for n in np.flatnonzero((side != fold) & (labels >= 0)):
            counts[labels[n], tokens[n]] += 1
        logs = np.log(counts / counts.sum(axis=1, keepdims=True))
        prior = np.log(np.bincount(labels[(side != fold) & (labels >= 0)], minlength=len(names)) + 1.0)
        for n in np.flatnonzero(side == fold):
            right[n] = float((prior + logs[:, tokens[n]].sum(axis=1)).argmax() == labels[n])
    return right, codes


def correlation(values: Array, codes: Array) -> float:
    """Intraclass correlation of values (n,) in groups, from a one-way analysis of variance; 0 to 1."""
    sizes = np.bincount(codes).astype(float)
    groups, rows = len(sizes), len(values)
    if groups < 2 or rows <= groups:
        return 0.0
    means = np.bincount(codes, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (groups - 1)
    within = float(((values - means[codes]) ** 2).sum()) / (rows - groups)
    size = (rows - float((sizes**2).sum()) / rows) / (groups - 1)
    spread = between + (size - 1) * within
    return min(1.0, max(0.0, (between - within) / spread)) if spread > 0 else 0.0


# words for a reader


def unseen_group_lines(groups: Sequence[UnseenGroup]) -> Iterator[str]:
    """The findings, a line each."""
    for group in groups:
        alike = f"two rows share {group.words[0]:.0%} of their words, others {group.words[1]:.0%}"
        if group.labels is not None:
            alike += f"; {group.labels[0]:.0%} have the same label, of others {group.labels[1]:.0%}"
        width = f"{'up to ' if group.bound else ''}about {group.wider:.1f} times as wide"
        if group.wider < NOTHING:
            width = "hardly wider, as the errors of word counts do not go with it"
        if group.where == "column":
            yield (
                f"column '{group.column}' behaves like a group: {group.groups} values in {group.rows} rows; of one "
                f"value {alike}. With --group {group.column} rows of one value stay on one side of the split, "
                f"{group.groups} groups, and intervals would be {width}. Without, they may be too short and scores too "
                "good."
            )
            continue
        place = "neighbours in the file" if group.where == "order" else "rows in different places"
        yield (
            f"{place} are alike: {group.groups} families of three rows or more, {group.rows} of the rows looked at; of "
            f"one family {alike}. If they are of one sender, document or series, add a column that names it and say "
            f"--group COLUMN: intervals would be {width}. Without, they may be too short and scores too good."
        )
