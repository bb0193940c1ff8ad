"""The labels and the metric of a task, and its targets as they are trained and compared."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from whichway.errors import DataError, OptionError, did_you_mean
from whichway.nouns import MetricSpec
from whichway.plurals import plural
from whichway.tasks import labels as kinds
from whichway.tasks import metrics, several_labels
from whichway.tasks.metrics._text import plain
from whichway.tasks.spec import Spec

PREFERENCE = "preference"  # the metric of rows with a chosen and a rejected answer
MULTI_LABEL = "multi_label"
DEFAULTS = {"label": "accuracy", "multi_label": MULTI_LABEL, "number": "numeric", "json": "json_fields",
            "text": "token_f1"}  # fmt: skip
# labels, or what people and libraries write for a missing value
_ASIDE = ("none", "null", "na", "n/a", "nil", "-", "--", "—", "?", ".", "unknown")
_OFTEN = ("none", "unknown")  # of these, labels when they are frequent


@dataclass(frozen=True, slots=True)
class Answers:
    """How a task's answers are read and judged."""

    labels: tuple[str, ...]  # closed set; empty for free text, numbers, objects and several labels a row
    metric: MetricSpec
    targets: tuple[str, ...]  # of each row, in the spelling that is trained and compared
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    places: tuple[tuple[int, str], ...] = ()  # rows whose target is no allowed label, and what is wrong


def judge(spec: Spec, exact: Sequence[str], column: str, where: str, prefers: bool = False) -> Answers:
    """The labels, the metric and the targets of a task, as the user says or as the targets suggest.

    Args:
        spec: what the user says.
        exact: the targets with the white space around them.
        column: their column.
        where: the file, for messages.
        prefers: whether rows have a rejected answer as well.

    Raises:
        DataError: what the targets are is not clear; says which flag settles it.
        OptionError: the metric does not fit the targets or its options are wrong.
    """
    if prefers or (spec.metric and spec.metric.name == PREFERENCE):
        return Answers((), _preference(spec.metric, prefers), tuple(exact))
    bare = [text.strip() for text in exact]
    kind, several = _kind(spec, bare, column, where)
    if kind == "multi_label":
        return _several(spec, several or several_labels.named(bare, spec.labels))
    if kind == "label":
        return _closed(spec, bare, column, several)
    plain = kinds.ungrouped(bare) if spec.target_type in (None, "number") and spec.metric is None else None
    if plain is not None and kind in ("text", "number"):
        place = next(n for n, text in enumerate(bare) if text != plain[n])
        note = f"numbers are read without what divides thousands or stands around: {bare[place]} is {plain[place]}."
        numbers = _numbers(complete(MetricSpec(DEFAULTS["number"]), ()), plain)
        return replace(numbers, notes=(note, *numbers.notes))
    usual = "exact_match" if kind == "text" and kinds.are_dates(bare) else DEFAULTS[kind]
    metric = complete(spec.metric or MetricSpec(usual), ())
    if spec.metric is not None and metrics.load(spec.metric).closed:
        _refuse_open(metric.name, (), bare)
    if kind == "json":
        return _objects(metric, bare)
    unsaid = spec.target_type is None and spec.metric is None and spec.labels is None
    if kind == "number":
        return _refused(_numbers(metric, bare), bare, not unsaid)
    if kind == "text" and unsaid and kinds.nearly_numbers(bare):
        return _refused(_numbers(complete(MetricSpec(DEFAULTS["number"]), ()), bare), bare, False)
    return Answers((), metric, tuple(exact), _lists_note(bare))


def complete(metric: MetricSpec, labels: tuple[str, ...]) -> MetricSpec:
    """A metric with the options that the task fills in.

    Raises:
        OptionError: an option is unknown or does not fit.
    """
    known = metrics.options(metric.name)
    extra: dict[str, object] = {}
    if labels and "labels" in known and (metric.name == MULTI_LABEL or metrics.load(metric).closed):
        extra["labels"] = list(labels)
    if metric.name == "checks":
        metrics.load(metric)
    if metric.options.get("function"):
        file = Path(str(metric.options["function"]).rpartition(":")[0])
        extra["digest"] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    completed = MetricSpec(metric.name, {**extra, **metric.options})
    metrics.load(completed)
    return completed


def _kind(
    spec: Spec, bare: Sequence[str], column: str, where: str
) -> tuple[kinds.TargetType, several_labels.Several | None]:
    """The type of the targets; for labels that could be several in a row, these as well."""
    if spec.target_type is not None:
        return spec.target_type, None
    name = spec.metric.name if spec.metric else ""
    if name == MULTI_LABEL:
        return "multi_label", None
    if spec.labels is not None:
        if not spec.labels:
            return _open_kind(bare), None
        known = {plain(label) for label in spec.labels}
        if not name and any(plain(text) not in known for text in bare):
            several = _in_labels(bare, spec.labels)
            if several is not None:
                return "multi_label", several
        return "label", None
    if name:
        closed = metrics.load(spec.metric).closed if spec.metric else False
        return ("label", None) if closed else ({"numeric": "number", "json_fields": "json"}.get(name, "text"), None)  # type: ignore[return-value]
    several = several_labels.detect(bare, where, column)
    if several is not None and several.sure:
        return ("label" if all(len(row) == 1 for row in several.rows) else "multi_label"), several
    return kinds.found_type(bare, column, where), several


def _open_kind(bare: Sequence[str]) -> kinds.TargetType:
    """The type of targets that are no labels."""
    if all(kinds.is_object(text) for text in bare):
        return "json"
    return "number" if all(kinds.is_number(text) for text in bare) else "text"


def _in_labels(bare: Sequence[str], labels: Sequence[str]) -> several_labels.Several | None:
    try:
        return several_labels.named(bare, labels)
    except DataError:
        return None


# Of each type


def _closed(spec: Spec, bare: Sequence[str], column: str, several: several_labels.Several | None) -> Answers:
    """Labels, each in one spelling."""
    notes: tuple[str, ...] = ()
    if several is not None and several.sure and several.how == "lists":  # one label in each list
        bare, notes = several.spelled(), (f"'{column}' holds lists of one label each: read as the label.",)
    labels = _separate(spec.labels) if spec.labels else _found_labels(bare)
    name = spec.metric.name if spec.metric else "accuracy"
    if spec.metric is None or metrics.load(spec.metric).closed:
        _refuse_open(name, labels, bare, spec.target_type == "label" or bool(spec.labels))
    targets, warnings, wrong = _spelled(bare, labels)
    warnings = [*warnings, *_missing_value_warning(targets, labels)]
    if several is not None and not several.sure:
        example = next(text for text, row in zip(bare, several.rows, strict=True) if len(row) > 1)
        warnings.append(
            f"targets like '{example[:60]}' may be several labels, divided by {several.how}; each is read as one. "
            "Settle it: --target-type multi_label, or label."
        )
    metric = complete(spec.metric or MetricSpec("accuracy"), labels)
    return Answers(labels, metric, tuple(targets), notes, tuple(warnings), tuple(wrong))


def _several(spec: Spec, sets: several_labels.Several) -> Answers:
    """Several labels a row, in one order."""
    metric = spec.metric or MetricSpec(MULTI_LABEL)
    labels = tuple(spec.labels or sets.labels)
    if metric.name == MULTI_LABEL:
        metric = complete(metric, labels)
    empty = sum(not row for row in sets.rows)
    mean = sum(map(len, sets.rows)) / len(sets.rows)
    note = (
        f"several labels a row ({sets.how}): {len(labels)} labels, {mean:.1f} a row; their order does not count, and "
        f"they are written in one, divided by '{several_labels.separator(labels).strip()}'. If each text is one label: "
        "--target-type label."
    )
    notes = (
        note,
        *((f"{plural(empty, 'row has', 'rows have')} no label: read as '{several_labels.NONE}'.",) if empty else ()),
    )
    return Answers((), metric, tuple(sets.spelled()), notes)


def _refused(numbers: Answers, bare: Sequence[str], by_user: bool) -> Answers:
    """Numbers, with the places of targets that are none; nothing is refused where they were rewritten as a whole."""
    if numbers.notes:
        return numbers
    hint = "Mend it, or say what the targets are: --target-type text."
    return replace(numbers, places=tuple((n, f"{what}. {hint}") for n, what in kinds.no_numbers(bare, by_user).items()))


def _objects(metric: MetricSpec, bare: Sequence[str]) -> Answers:
    targets = tuple(kinds.unfenced(text) for text in bare)
    changed = sum(new != old for new, old in zip(targets, bare, strict=True))
    notes = (f"{changed} targets stand in code fences; these are left out.",) if changed else ()
    return Answers((), metric, targets, notes)


def _numbers(metric: MetricSpec, bare: Sequence[str]) -> Answers:
    unit = kinds.with_unit(bare)
    if unit:
        without_unit = [text.replace(unit, "").strip() for text in bare]
        without = _numbers(metric, without_unit)
        note = f"the unit of the numbers is left out: {bare[0]} is {without.targets[0]}."
        return replace(without, notes=(note, *without.notes))
    numbers = kinds.with_point(bare)
    if numbers is None:
        return Answers((), metric, tuple(bare), (), kinds.thousands(bare))
    place = next(n for n, text in enumerate(bare) if text != numbers[n])
    note = f"numbers with a decimal comma are written with a point: {bare[place]} is {numbers[place]}."
    return Answers((), metric, tuple(numbers), (note,))


def _lists_note(bare: Sequence[str]) -> tuple[str, ...]:
    if not bare or several_labels.as_lists(bare) is None:
        return ()
    return ("the targets are lists, and are read as they are written. Labels? --target-type multi_label.",)


def _preference(metric: MetricSpec | None, prefers: bool) -> MetricSpec:
    """The metric of rows with a chosen and a rejected answer."""
    if not prefers:
        raise OptionError(f"metric {PREFERENCE} wants rows with a column 'chosen' and a column 'rejected'.")
    if metric is not None and metric.name != PREFERENCE:
        raise OptionError(
            f"rows with a chosen and a rejected answer are judged by {PREFERENCE}, not by {metric.name}. To learn the "
            "chosen answers alone, take the column 'rejected' out of the data."
        )
    preference_metric = metric or MetricSpec(PREFERENCE)
    metrics.load(preference_metric)  # its options are known
    return preference_metric


# Labels


def _refuse_open(name: str, labels: Sequence[str], targets: Sequence[str], sure: bool = False) -> None:
    many = len(labels) > kinds.MOST_LABELS and len(targets) < kinds.ROWS_PER_LABEL * len(labels)
    if not labels or (many and not sure):
        raise OptionError(
            f"metric {name} wants a closed set of labels, but the data have {len(set(targets))} different targets in "
            f"{len(targets)} rows. Use exact_match or token_f1, or list the labels, or say --target-type label."
        )


def _separate(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The user's labels, if answers can tell them apart."""
    for n, label in enumerate(labels):
        twin = next((other for other in labels[:n] if plain(other) == plain(label)), None)
        if twin is not None:
            raise OptionError(f"labels '{twin}' and '{label}' differ only in case or punctuation. Rename one.")
    return labels


def _found_labels(targets: Sequence[str]) -> tuple[str, ...]:
    """Distinct targets, sorted; of several spellings the most frequent stands for all."""
    by_count = sorted(Counter(targets).items(), key=lambda item: (-item[1], len(_odd(item[0])), item[0]))
    return tuple(sorted({plain(target): target for target, _ in reversed(by_count)}.values()))


def _spelled(targets: Sequence[str], labels: Sequence[str]) -> tuple[list[str], list[str], list[tuple[int, str]]]:
    """Targets spelled as the labels are, what was merged, and the places of targets that are none of them."""
    standing = {plain(label): label for label in labels}
    folded = {target: plain(target) for target in set(targets)}
    variants: dict[str, set[str]] = defaultdict(set)
    spelled, wrong = [], []
    for place, target in enumerate(targets):
        label = standing.get(folded[target])
        if label is None:
            hint = did_you_mean(target, labels)
            wrong.append((place, f"the target '{target[:60]}' is not among the labels.{hint}"))
            label = target
        else:
            variants[label].add(target)
        spelled.append(label)
    mixed = {label: spellings - {label} for label, spellings in variants.items() if spellings - {label}}
    notes = [
        f"'{label}'{_signs(label)} is also spelled {', '.join(o + _signs(o) for o in sorted(spellings))}: taken as one."
        for label, spellings in mixed.items()
    ]
    return spelled, notes, wrong


def _odd(label: str) -> list[str]:
    """Signs of a label that nobody sees, or that are part of another letter."""
    return [c for c in label if not c.isprintable() or unicodedata.combining(c) or (c.isspace() and c != " ")]


def _signs(label: str) -> str:
    """Such signs by their numbers, as two labels that look alike cannot be told apart otherwise."""
    odd = dict.fromkeys(_odd(label))
    return f" ({', '.join(f'U+{ord(c):04X}' for c in odd)})" if odd else ""


def _missing_value_warning(targets: Sequence[str], labels: Sequence[str]) -> list[str]:
    """A warning about labels that may stand for a missing value."""
    odd = [label for label in labels if label.casefold() in _ASIDE]
    counts = Counter(targets)
    return [
        f"'{label}' is read as a label ({plural(counts[label], 'row')}). If it means a missing answer, delete them."
        for label in odd
        if label.casefold() not in _OFTEN or counts[label] < len(targets) / 5
    ]
