"""Train, dev and test by content hash: new rows never move old ones, groups and near-duplicates stay on one side.

How stability and stratification are reconciled. A split that depends neither on the order of rows nor on which other
rows exist must be a function of the row alone. So each row's *point* in [0, 1) is a hash of its content (of its group,
if it has one), and two fixed thresholds cut: test below 0.25, dev from 0.85. The same thresholds hold in every label,
so every label is split in the same proportions in expectation, with binomial noise, and nothing ever moves. A rank
would balance better and move rows with every addition.

Noise hurts only where data are few, so there floors apply, each made so that it fades as rows come:

- From 60 rows on, test has at least 20 and dev at least 10. A threshold is widened to the order statistic that reaches
  the floor. An order statistic falls when rows are added, so a row may leave test or dev for train, and none ever
  enters them: what was once trained on is never tested on. From about 120 rows the floors are met by themselves.
  (Under 60 rows the floors are a third and a sixth, and a growing file is cut anew.)
- A label with 8 rows or more gets a row in test and in dev when the thresholds give it none: its lowest and its highest
  point. This moves at most two rows, once, when a rare label is first met.

Near-duplicates have different hashes, so they need history: a row that is near to an earlier one in the file takes its
point. Adding rows at the end of a file therefore never moves a row; re-ordering a file can, inside such families only.
Groups are cut by their own name alone. A row that is near to earlier ones on another side even so (it links two
families or two groups) would leak wherever it goes, and is set aside. When over a fifth of all rows would be one family
or set aside, the data are written from a template; then nearness means nothing and rows are split one by one.

Splits that the data bring are kept. A missing dev or test split is carved from train by the same points, or, where some
rows are marked "any" and the others "train", from these alone: rows that were chosen to be labelled, say, are no sample
of what will be asked, so they train and never test. Those that are near to a row marked "any" are set aside.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from whichway.errors import DataError
from whichway.nouns import Example, Split
from whichway.plurals import plural
from whichway.tasks import near_duplicates

DEFAULT: Mapping[Split, float] = {"train": 0.6, "dev": 0.15, "test": 0.25}
TEST_FLOOR, DEV_FLOOR, FLOOR_ROWS = 20, 10, 60
LABEL_ROWS = 8
TEMPLATE_SHARE, TEMPLATE_ROWS = 0.2, 20
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Sides:
    """Where each row went: one entry per row, None for rows set aside; and what the user should know."""

    of: tuple[Split | None, ...]
    near_duplicates: int  # rows that took the side of an earlier near-duplicate
    warnings: tuple[str, ...]


def split(
    examples: Sequence[Example],
    *,
    stratify: bool,
    sides_in_data: Sequence[Split | None] | None = None,
    fractions: Mapping[Split, float] | None = None,
) -> Sides:
    """Give each example its side.

    Args:
        examples: in file order, without exact duplicates.
        stratify: whether targets are labels, each of which every split should hold.
        sides_in_data: the sides that the data bring, if they do.
        fractions: share of train, dev and test; floors on rows are off when the user gave them.

    Raises:
        DataError: data that are split already lack a train split, or some but not all rows are in dev or test.
    """
    if sides_in_data is not None and any(sides_in_data):
        if None in sides_in_data:
            return _beside(examples, sides_in_data, fractions or DEFAULT, stratify, floors=fractions is None)
        return _complete(examples, sides_in_data, stratify)
    return _cut(examples, fractions or DEFAULT, stratify, floors=fractions is None)


def point(key: str) -> float:
    """The place of a key in [0, 1), from its hash."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big") / 2**56


def _complete(examples: Sequence[Example], sides_in_data: Sequence[Split | None], stratify: bool) -> Sides:
    """Keep the sides that the data bring; carve what is missing from train."""
    if "train" not in sides_in_data:
        raise DataError("The data are split already, but no row is in train. Add a train file, or rows marked train.")
    sides: list[Split | None] = list(sides_in_data)
    wanted: tuple[Split, ...] = ("dev", "test")
    missing = [side for side in wanted if side not in sides_in_data]
    warnings = _leaks(examples, sides_in_data)
    if not missing:
        return Sides(tuple(sides), 0, warnings)
    at = [i for i, side in enumerate(sides_in_data) if side == "train"]
    shares: dict[Split, float] = {"dev": 0.0, "test": 0.0}
    for side in missing:
        shares[side] = DEFAULT[side] if len(missing) == 2 else 0.2
    shares["train"] = 1 - shares["dev"] - shares["test"]
    cut = _cut([examples[i] for i in at], shares, stratify, floors=True)
    for i, carved in zip(at, cut.of, strict=True):
        sides[i] = carved
    note = f"The data bring no {' and no '.join(missing)} split; carved from train by content hash."
    return Sides(tuple(sides), cut.near_duplicates, (note, *warnings, *cut.warnings))


def _beside(
    examples: Sequence[Example],
    sides_in_data: Sequence[Split | None],
    shares: Mapping[Split, float],
    stratify: bool,
    *,
    floors: bool,
) -> Sides:
    """Cut the rows that may go anywhere; the others train, but for those that are near to one of these."""
    if set(sides_in_data) != {None, "train"}:
        raise DataError('The split column says "any" beside dev or test. Beside "any" there can be "train" alone.')
    free = [i for i, side in enumerate(sides_in_data) if side is None]
    cut = _cut([examples[i] for i in free], shares, stratify, floors=floors)
    sides: list[Split | None] = list(sides_in_data)
    for i, side in zip(free, cut.of, strict=True):
        sides[i] = side
    which, links = links_of(examples)
    near = {skeleton for i in free for skeleton in links[which[i]]}
    groups = {examples[i].group for i in free} - {None}
    lost = [i for i, side in enumerate(sides_in_data) if side and (which[i] in near or examples[i].group in groups)]
    for i in lost:
        sides[i] = None
    note = f"{plural(len(lost), 'row')} marked train set aside: near to rows that may be tested, they would leak."
    return Sides(tuple(sides), cut.near_duplicates, (*cut.warnings, *((note,) if lost else ())))


def _leaks(examples: Sequence[Example], sides_in_data: Sequence[Split | None]) -> tuple[str, ...]:
    """A warning when given splits share inputs."""
    sides: dict[str, set[Split]] = defaultdict(set)
    for example, side in zip(examples, sides_in_data, strict=True):
        if side:
            sides[near_duplicates.skeleton(example.text)].add(side)
    shared = sum("test" in splits and len(splits) > 1 for splits in sides.values())
    if not shared:
        return ()
    return (f"{shared} inputs of the given test split also occur in train or dev: scores will be too good.",)


def _cut(examples: Sequence[Example], shares: Mapping[Split, float], stratify: bool, *, floors: bool) -> Sides:
    """Cut by points; without regard to nearness when the data are written from a template."""
    which, links = links_of(examples)
    alone = [[i] for i in range(len(links))]
    own = points_of(examples, which, alone)
    points = points_of(examples, which, links, own) if any(len(near) > 1 for near in links) else own
    sides = set_aside(_sides(examples, points, shares, stratify, floors), which, links)
    largest = max(Counter(p for p, q in zip(points, own, strict=True) if p != q).values(), default=0)
    aside = sides.count(None)
    if max(largest, aside) > max(TEMPLATE_ROWS, TEMPLATE_SHARE * len(examples)):
        note = (
            f"{max(largest, aside)} inputs are near-copies of others: the data look written from a template. "
            "They are split row by row."
        )
        return Sides(tuple(_sides(examples, own, shares, stratify, floors)), 0, (note,))
    part = near_duplicates.in_part([near_duplicates.skeleton(e.text) for e in _first_of_each(examples, which)])
    more = (f"{part} inputs differ little from many others: near-copies among them were looked for in part.",)
    note = f"{plural(aside, 'row')} set aside: near-copies of rows in another split, they would leak."
    joined = sum(p != q for p, q in zip(points, own, strict=True))
    return Sides(tuple(sides), joined, ((note,) if aside else ()) + (more if part else ()))


def _first_of_each(examples: Sequence[Example], which: Sequence[int]) -> list[Example]:
    """The first row of each skeleton."""
    first: dict[int, Example] = {}
    for example, number in zip(examples, which, strict=True):
        first.setdefault(number, example)
    return list(first.values())


def links_of(examples: Sequence[Example]) -> tuple[list[int], list[list[int]]]:
    """The number of each row's skeleton, and for each skeleton the near ones, itself among them."""
    skeletons = [near_duplicates.skeleton(example.text) for example in examples]
    number = {text: i for i, text in enumerate(dict.fromkeys(skeletons))}
    links = [[i] for i in range(len(number))]
    for i, earlier in enumerate(near_duplicates.earlier(list(number))):
        for j in earlier:
            links[i].append(j)
            links[j].append(i)
    return [number[text] for text in skeletons], links


def points_of(
    examples: Sequence[Example], which: Sequence[int], links: Sequence[Sequence[int]], own: Sequence[float] = ()
) -> list[float]:
    """The point of each row: of its group, else of the earliest near row, else of its own content.

    Args:
        examples: the rows.
        which: the number of each row's skeleton.
        links: the near skeletons of each, itself among them.
        own: the points where nothing is near but copies, if they are known.
    """
    points: list[float] = []
    first: dict[int, int] = {}  # skeleton -> the first row with it
    for row, (example, skeleton) in enumerate(zip(examples, which, strict=True)):
        near = [first[one] for one in links[skeleton] if one in first]
        if near and not example.group:
            points.append(points[min(near)])
        elif own:
            points.append(own[row])
        else:
            key = f"group {example.group}" if example.group else f"text {near_duplicates.skeleton(example.text)}"
            points.append(point(key))
        first.setdefault(skeleton, row)
    return points


def family_points(examples: Sequence[Example]) -> list[float]:
    """The point of each row, which near-copies and rows of a group share; its own where rows are of one template."""
    which, links = links_of(examples)
    own = points_of(examples, which, [[i] for i in range(len(links))])
    points = points_of(examples, which, links, own)
    largest = max(Counter(p for p, q in zip(points, own, strict=True) if p != q).values(), default=0)
    return own if largest > max(TEMPLATE_ROWS, TEMPLATE_SHARE * len(examples)) else points


def _sides(
    examples: Sequence[Example], points: Sequence[float], shares: Mapping[Split, float], stratify: bool, floors: bool
) -> list[Split | None]:
    """The side of each row by its point; equal points never part."""
    low, high = _thresholds(points, shares, floors)
    up, down = _promotions(examples, points, low, high, shares) if stratify else (set(), set())

    def side(p: float) -> Split:
        if p in up or p in down:
            return "test" if p in up else "dev"
        return "test" if p < low else "dev" if p >= high else "train"

    return [side(p) for p in points]


def _thresholds(points: Sequence[float], shares: Mapping[Split, float], floors: bool) -> tuple[float, float]:
    """Test below the first, dev from the second; widened where the floors ask for it."""
    low, high = shares["test"], 1 - shares["dev"]
    if floors:
        small = len(points) < FLOOR_ROWS
        ranked = sorted(points)
        if low:
            low = max(low, _after(ranked, len(points) // 3 if small else TEST_FLOOR))
        if shares["dev"]:
            high = min(high, ranked[-min(len(points), max(2, len(points) // 6) if small else DEV_FLOOR)])
    return low, high


def _after(ranked: Sequence[float], rows: int) -> float:
    """A threshold just above the point of rank `rows`; the whole family at it is below."""
    at = ranked[min(max(rows, 1), len(ranked)) - 1]
    return math.nextafter(at, 1)


def _promotions(
    examples: Sequence[Example], points: Sequence[float], low: float, high: float, shares: Mapping[Split, float]
) -> tuple[set[float], set[float]]:
    """Points moved into test and into dev so that every label with enough rows is in each split."""
    up: set[float] = set()
    down: set[float] = set()
    by_label: dict[str, list[float]] = defaultdict(list)
    for example, p in zip(examples, points, strict=True):
        by_label[example.target].append(p)
    for _, points_of_label in sorted(by_label.items()):
        families = sorted(set(points_of_label))
        if len(points_of_label) < LABEL_ROWS or len(families) < 4:
            continue
        if shares["test"] and families[0] >= low:
            up.add(families[0])
        if shares["dev"] and families[-1] < high:
            down.add(families[-1])
    return up, down - up


def set_aside(sides: Sequence[S], which: Sequence[int], links: Sequence[Sequence[int]]) -> list[S | None]:
    """Drop each row that is near to an earlier row on another side (or in another fold)."""
    result: list[S | None] = []
    seen: dict[int, S] = {}  # skeleton -> the one side its kept rows are on
    for side, skeleton in zip(sides, which, strict=True):
        crosses = any(seen.get(other, side) != side for other in links[skeleton])
        result.append(None if crosses else side)
        if not crosses:
            seen[skeleton] = side
    return result
