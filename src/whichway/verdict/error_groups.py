"""Rows that fail together: which parts of the test rows fail more often than the rest, beyond what chance gives.

Many parts are looked at (labels, pairs of labels, columns, lengths, forms of the text, words, clusters), so each test
is corrected for all of them (Bonferroni over the candidates; one-sided exact hypergeometric test, and a Poisson tail
for pairs of labels). Groups are taken one after another: the clearest first, its rows are set aside, and what is left
is looked at again, so that one cause is not listed twice under the names of words that come with it. This is slice
discovery as SliceFinder does it (Chung et al. 2019, arXiv 1807.06068), with clusters in place of crossed columns.

A part that passes must also be worth reading: at least `FEWEST` failing rows, and a failing share that is well above
that of the other rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from whichway.findings import ErrorGroup, Help
from whichway.verdict.slices import RowFacts, values
from whichway.verdict.stats import FloatArray, IntArray

FEWEST = 5  # failing rows of a group
LARGEST = 0.5  # share of all rows; what fails in most rows is no group
LIFT, ABOVE = 1.5, 0.10  # failing share of a group against the rest: times, and points more
ALPHA = 0.05
MOST = 12  # groups that are listed
NEAR = 0.85  # of the best statistic: among these the one that is easiest to read is taken
CUTS = (0.1, 0.2, 1 / 3)  # shares of the shortest and of the longest rows that are looked at
DOUBTED = 0.4  # share of doubtful labels among a group's failing rows from which labels are the first thing to look at
RESCUED = 0.5  # share of a group's failing rows that another way has right, from which it is worth a look
READABLE = ("confusion", "label", "column", "length", "form", "word", "cluster")  # the easiest to read first

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Part:
    """A candidate: some of the rows, by a property that can be named."""

    by: str  # one of READABLE
    name: str  # the column of a "column", else ""
    value: str
    rows: Mask  # (n,)
    answer: str = ""  # of a "confusion": the label that is given instead
    also: tuple[str, str, str] | None = None  # by, name, value of a second property that its rows have
    looks: float = 1.0  # how many parts such as this one could have been taken, as a factor of those that are listed


@dataclass(frozen=True, slots=True)
class Failures:
    """What is known about each test row's failure."""

    failing: Mask  # (n,) the choice is wrong
    targets: tuple[str, ...] = ()  # labels; empty for free text
    answers: tuple[str, ...] = ()  # the choice's answers, as they are compared
    right_by: Mapping[str, Mask] = field(default_factory=dict)  # other way -> (n,) it is right
    doubted: Mask | None = None  # (n,) the label is doubtful
    groups: IntArray | None = None  # (n,) cluster of each row, where rows are not independent


def error_groups(failures: Failures, parts: Sequence[Part], kinds: Mapping[str, str] | None = None) -> list[ErrorGroup]:
    """The groups in which the choice fails more often than elsewhere, the clearest first.

    Args:
        failures: of each row.
        parts: candidates; those of labels' confusions are added here.
        kinds: way -> kind, to say what another way that is right is.

    Returns:
        At most `MOST`; none where no part passes the guard.
    """
    groups: list[ErrorGroup] = []
    failing = failures.failing
    everything = [*confused(failures), *parts]
    if not everything or failing.sum() < FEWEST:
        return []
    masks: Any = sparse.csr_array(np.stack([part.rows for part in everything]), dtype=float)
    level = ALPHA / len(everything)
    active = np.ones(len(failing), dtype=bool)
    pairs = np.array([part.by == "confusion" for part in everything])
    taken = np.zeros(len(everything), dtype=bool)
    while len(groups) < MOST:
        strength = np.where(taken, 0.0, _strength(masks, active, failures, pairs, everything))
        place = _clearest(everything, strength)
        if place is None:
            break
        taken[place] = True
        part = _sharper(everything[place], everything, active, failures)
        p = min(1.0, _exact(part, active, failures) * part.looks)
        if p <= level:
            groups.append(_error_group(part, active, failures, min(1.0, p * len(everything)), kinds or {}))
            active &= ~part.rows
        elif strength[place] < -2 * np.log(level):  # nothing weaker can pass
            break
    return groups


def _sharper(part: Part, parts: Sequence[Part], active: Mask, failures: Failures) -> Part:
    """The part as it fails most clearly: one property with a second one, or a word with words that fail as it does.

    A second property must tell failing rows of the part from its others, and a further word must add more than the best
    of so many words would by chance; both pay for all that were looked at.
    """
    if part.by == "confusion":
        return part
    if part.by == "word":
        return _with_words(part, [p for p in parts if p.by == "word"], active, failures)
    inside = part.rows & active
    others = [p for p in parts if p.by not in ("confusion", part.by) and (part.by, p.by) != ("cluster", "word")]
    if not others:
        return part
    masks: Any = sparse.csr_array(np.stack([p.rows for p in others]), dtype=float)
    none = np.zeros(len(others), dtype=bool)
    strength = _strength(masks, inside, failures, none, others, largest=0.8)
    place = _clearest(others, strength)
    if place is None:
        return part
    second = others[place]
    if _exact(second, inside, failures) > ALPHA / len(others):
        return part
    also = (second.by, second.name, second.value)
    return replace(part, rows=part.rows & second.rows, also=also, looks=float(len(others)))


def _with_words(part: Part, words: Sequence[Part], active: Mask, failures: Failures) -> Part:
    """A word, and up to two others whose rows fail as well, as one part: rows with any of them."""
    bar = 2 * np.log(max(2, len(words)))
    names = [part.value]
    for _ in range(2):
        more = [p for p in words if p.value not in names]
        if not more:
            break
        masks: Any = sparse.csr_array(np.stack([part.rows, *(part.rows | p.rows for p in more)]), dtype=float)
        strength = _strength(masks, active, failures, np.zeros(len(more) + 1, dtype=bool), [part, *more])
        best = int(strength[1:].argmax())
        if strength[best + 1] < strength[0] + bar:
            break
        names.append(more[best].value)
        rows = part.rows | more[best].rows
        part = replace(part, rows=rows, value=", ".join(names), looks=part.looks * len(more))
    return part


def confused(failures: Failures) -> Iterator[Part]:
    """A candidate for each wanted label and each label that is given instead of it."""
    if not failures.targets or not failures.answers:
        return
    targets, answers = (np.asarray(x, dtype=object) for x in (failures.targets, failures.answers))
    wrong = failures.failing
    for gold in sorted(set(failures.targets)):
        own = wrong & (targets == gold)
        for answer in sorted(set(answers[own]) - {""}):
            rows = own & (answers == answer)
            if rows.sum() >= FEWEST:
                yield Part("confusion", "", gold, rows, answer)


def parts_of(facts: RowFacts) -> Iterator[Part]:
    """Candidates by label, by columns of the input, and by length."""
    if facts.targets:
        yield from (Part("label", "", value, mask) for _, value, mask in values("label", facts.targets))
    for name, cells in sorted(facts.columns.items()):
        yield from (Part("column", name, value, mask) for _, value, mask in values(name, cells))
    lengths = np.asarray(facts.lengths)
    if len(lengths):
        yield from _by_length(lengths)


def _by_length(lengths: IntArray) -> Iterator[Part]:
    """The shortest and the longest rows, by several cuts."""
    for share in CUTS:
        low, high = (int(q) for q in np.quantile(lengths, (share, 1 - share), method="lower"))
        if low < lengths.max():
            yield Part("length", "", f"up to {low:,} characters", lengths <= low)
            yield Part("length", "", f"over {high:,} characters", lengths > high)


def _strength(
    masks: Any, active: Mask, failures: Failures, pairs: Mask, parts: Sequence[Part], largest: float = LARGEST
) -> FloatArray:
    """(m,) the likelihood-ratio statistic of each part that passes the guard on the rows still active; else 0."""
    on, fails = active.astype(float), (failures.failing & active).astype(float)
    n, total = on.sum(), fails.sum()
    sizes, inside = masks @ on, masks @ fails
    rest = (total - inside) / np.maximum(1.0, n - sizes)
    share = inside / np.maximum(1.0, sizes)
    passes = (inside >= FEWEST) & (sizes <= largest * n) & (share >= LIFT * rest) & (share >= rest + ABOVE)
    statistic = 2 * (
        special.xlogy(inside, share) + special.xlogy(sizes - inside, 1 - share)
        + special.xlogy(total - inside, rest) + special.xlogy(n - sizes - total + inside, 1 - rest)
        - special.xlogy(total, total / max(1.0, n)) - special.xlogy(n - total, 1 - total / max(1.0, n))
    )  # fmt: skip
    statistic = np.where(passes, statistic, 0.0) / _design(failures)
    for place in map(int, np.flatnonzero(pairs)):
        expected, count = _expected(parts[place], active, failures), inside[place]
        clear = count >= FEWEST and count >= LIFT * expected
        one = 2 * (special.xlogy(count, count / max(expected, 1e-9)) - (count - expected)) if clear else 0.0
        statistic[place] = float(one) / _design(failures)
    return np.asarray(statistic, dtype=float)


def _design(failures: Failures) -> float:
    """Rows that come in clusters tell less: the mean size of a cluster."""
    return 1.0 if failures.groups is None else len(failures.groups) / (int(failures.groups.max(initial=0)) + 1)


def _clearest(parts: Sequence[Part], strength: FloatArray) -> int | None:
    """The strongest part; of those nearly as strong the one that is easiest to read. None: none passes the guard."""
    if not len(strength) or strength.max() <= 0:
        return None
    near = [int(k) for k in np.flatnonzero(strength >= NEAR * strength.max())]
    return int(min(near, key=lambda k: (READABLE.index(parts[k].by), -strength[k], k)))


def _expected(part: Part, active: Mask, failures: Failures) -> float:
    """How often this label would be given for that one if every label failed alike, and into the same labels."""
    targets, answers = (np.asarray(x, dtype=object) for x in (failures.targets, failures.answers))
    wrong = failures.failing & active
    own = (targets == part.value) & active
    elsewhere = wrong & ~own & (targets != part.answer)
    into = (wrong & (answers == part.answer) & ~own).sum() + 1
    labels = len(set(failures.targets))
    share = into / (elsewhere.sum() + max(1, labels - 1))
    rate = (wrong & ~own).sum() / max(1, (active & ~own).sum())
    return float(own.sum() * rate * min(1.0, share))


def _exact(part: Part, active: Mask, failures: Failures) -> float:
    """One-sided p of so many failing rows in the part."""
    design = _design(failures)
    inside = int((part.rows & failures.failing & active).sum() / design)
    if part.by == "confusion":
        return float(special.gammainc(inside, max(_expected(part, active, failures) / design, 1e-12)))
    counts = (active.sum(), (failures.failing & active).sum(), (part.rows & active).sum())
    n, total, size = (int(count / design) for count in counts)
    return _hypergeometric(inside, n, total, size)


def _hypergeometric(inside: int, n: int, total: int, size: int) -> float:
    """P(at least `inside` of `total` failing rows fall into `size` of `n` rows)."""
    k = np.arange(inside, min(total, size) + 1)
    if not len(k):
        return 0.0 if inside > min(total, size) else 1.0

    def choose(a: Any, b: Any) -> Any:
        return special.gammaln(a + 1) - special.gammaln(b + 1) - special.gammaln(a - b + 1)

    valid = k[(size - k) <= n - total]
    logs = choose(total, valid) + choose(n - total, size - valid) - choose(n, size)
    return float(min(1.0, np.exp(logs).sum()))


def _error_group(part: Part, active: Mask, failures: Failures, p: float, kinds: Mapping[str, str]) -> ErrorGroup:
    rows, failing = part.rows & active, part.rows & failures.failing & active
    rest = failures.failing & active & ~part.rows
    advice, reason, way = _help(part, failing, failures, kinds)
    return ErrorGroup(
        by=part.by, name=part.name, value=part.value, answer=part.answer, also=part.also,
        rows=int(rows.sum()), failing=int(failing.sum()),
        share=round(float(failing.sum() / max(1, rows.sum())), 6),
        elsewhere=round(float(rest.sum() / max(1, (active & ~part.rows).sum())), 6),
        p=float(f"{p:.3g}"), help=advice, reason=reason, way=way,
        members=tuple(int(i) for i in (*np.flatnonzero(failing), *np.flatnonzero(rows & ~failing))),
    )  # fmt: skip


def _help(part: Part, failing: Mask, failures: Failures, kinds: Mapping[str, str]) -> tuple[Help, str, str]:
    """What would help these rows first, why, and the way that has most of them right ("" where none does)."""
    count = int(failing.sum())
    if failures.doubted is not None and (doubted := int((failures.doubted & failing).sum())) >= DOUBTED * count:
        return "labels", f"the label of {doubted} of the {count} failing rows is doubtful", ""
    right = {way: int((mask & failing).sum()) for way, mask in dict(failures.right_by).items()}
    best = max(right, key=lambda way: (right[way], way), default="")
    if best and right[best] >= RESCUED * count:
        kind = kinds.get(best, "")
        advice: Help = "prompt" if kind == "prompt" else "weights" if kind in ("fine-tune", "both") else "another way"
        return advice, f"{best} has {right[best]} of the {count} failing rows right", best
    if part.by == "confusion":
        return "prompt", f"say how “{part.value}” differs from “{part.answer}”, or merge the two labels", ""
    most = f"; the best other way, {best}, has {right[best]} right" if best else ""
    return "more rows", f"no way answers most of them right{most}", ""
