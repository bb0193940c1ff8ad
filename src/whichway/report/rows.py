"""Test rows side by side: what each way answered, errors and disagreements first; and the labels it confuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from whichway.nouns import Record, Standing
from whichway.report import formatting
from whichway.runs.run import Run, RunRow

State = Literal["right", "partly", "wrong", "unread", "missing"]
STATES: tuple[State, ...] = get_args(State)

LONGEST = 2000  # characters of a row's text, or of an answer, on the page
HALF = 0.5  # with a graded metric, a score below it counts as wrong, and scores so far apart as disagreement


@dataclass(frozen=True, slots=True)
class WayAnswer:
    """One way's answer to one row."""

    way: str
    text: str
    state: State
    score: float  # of the answer shown; one that could not be read counts 0
    mark: str  # "2 of 3 seeds" where they differ, the seed shown, the score where it is graded


@dataclass(frozen=True, slots=True)
class AnswerGroup:
    """An answer and the ways that gave it."""

    text: str
    state: State
    answers: tuple[WayAnswer, ...]


@dataclass(frozen=True, slots=True)
class RowView:
    """One test row with all answers, equal ones together."""

    number: int  # 1-based place in the test split
    origin: str
    text: str
    gold: str
    wrong: bool  # the choice is wrong
    differ: bool  # prompts and fine-tunes disagree; baselines would disagree nearly everywhere
    groups: tuple[AnswerGroup, ...]

    def data(self) -> list[Any]:
        """The row for the page's script: arrays, no names."""
        groups = [[s.text, s.state, [[v.way, v.mark] for v in s.answers]] for s in self.groups]
        return [self.number, self.origin, self.text, self.gold, int(self.wrong), int(self.differ), groups]


def binary(run: Run) -> bool:
    """Whether every test answer is right or wrong, nothing between."""
    return all(r.score in (None, 0.0, 1.0) for records in run.test_records.values() for r in records)


def side_by_side(run: Run) -> list[RowView]:
    """All test rows: rows the choice gets wrong first, then rows on which the ways disagree."""
    crossed = {candidate for candidate, _ in run.test_records}
    ways = [s for s in run.verdict.standings if crossed.intersection(s.candidates)]
    plain = binary(run)
    contenders = {s.way for s in ways if s.kind != "baseline" and s.status == "ok"}
    lines = [_line(run, ways, contenders, number, row, plain) for number, row in enumerate(run.test, start=1)]
    return sorted(lines, key=lambda line: (not line.wrong, not line.differ, -len(line.groups), line.number))


def _line(run: Run, ways: Sequence[Standing], contenders: set[str], number: int, row: RunRow, plain: bool) -> RowView:
    voices = [_way_answer(way.way, run.answers(way, row.id), bool(run.plan.labels), plain) for way in ways]
    chosen = next((v for v in voices if v.way == run.verdict.choice), None)
    return RowView(
        number=number,
        origin=row.origin.replace("\\", "/").rsplit("/", 1)[-1],
        text=shorten(row.text),
        gold=shorten(row.target),
        wrong=chosen is not None and chosen.score < (1.0 if plain else HALF),
        differ=_differ([v for v in voices if v.way in contenders], plain),
        groups=_answer_groups(voices, run.verdict.choice),
    )


def _differ(voices: Sequence[WayAnswer], plain: bool) -> bool:
    scores = [v.score for v in voices]
    return len(scores) > 1 and max(scores) - min(scores) >= (1.0 if plain else HALF)


def _way_answer(way: str, records: Sequence[Record], closed: bool, plain: bool) -> WayAnswer:
    if not records:
        return WayAnswer(way, "", "missing", 0.0, "")
    texts = Counter(_normal(r.text) for r in records)
    common, times = texts.most_common(1)[0]
    if closed and (times > 1 or len(records) == 1):
        shown = next(r for r in records if _normal(r.text) == common)
        mark = "" if times == len(records) else f"{times} of {len(records)} seeds"
    else:  # free text has no majority
        seeds = len({r.candidate for r in records})
        shown, mark = records[0], "seed 0" if seeds > 1 else f"1 of {len(records)} answers" if len(records) > 1 else ""
    score = shown.points
    marks = [
        mark,
        "" if plain or shown.score is None else formatting.points(score),
        shown.why if shown.text.strip() else "",
    ]
    return WayAnswer(way, shorten(shown.text) or shown.why, _state(shown), score, ", ".join(m for m in marks if m))


def _state(record: Record) -> State:
    if record.outcome != "ok" or record.score is None:
        return "unread"
    return "right" if record.score >= 1.0 else "wrong" if record.score <= 0.0 else "partly"


def _answer_groups(voices: Sequence[WayAnswer], choice: str | None) -> tuple[AnswerGroup, ...]:
    groups: dict[tuple[str, State], list[WayAnswer]] = {}
    for voice in voices:
        groups.setdefault((_normal(voice.text), voice.state), []).append(voice)

    def rank(saying: AnswerGroup) -> tuple[int, float, bool, int]:
        chosen = choice in [voice.way for voice in saying.answers]
        return (STATES.index(saying.state), -saying.answers[0].score, not chosen, -len(saying.answers))

    sayings = [AnswerGroup(group[0].text, state, tuple(group)) for (_, state), group in groups.items()]
    return tuple(sorted(sayings, key=rank))


def _normal(text: str) -> str:
    return " ".join(text.split()).casefold()


def shorten(text: str) -> str:
    """The start of a long text, with the number of characters left out."""
    text = text.strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """A wanted label and the label given instead; rows is a mean over seeds."""

    gold: str
    predicted: str
    rows: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """The labels that one way confuses most."""

    title: str
    standing: Standing
    wrong: float  # rows, mean over seeds
    mixups: tuple[ConfusedPair, ...]


def confusions(run: Run, most: int = 8) -> list[Confusion]:
    """Top confused label pairs of the choice, the best prompt and the best fine-tune; empty for free text."""
    if not run.plan.labels:
        return []
    sound = [s for s in run.verdict.standings if s.status == "ok" and s.score is not None]
    picked: dict[str, tuple[str, Standing]] = {}
    if run.choice is not None and run.choice in sound:
        picked[run.choice.way] = ("The choice", run.choice)
    for kind, title in (("prompt", "Best prompt"), ("fine-tune", "Best fine-tune")):
        best = next((s for s in sound if s.kind == kind), None)
        if best is not None:
            picked.setdefault(best.way, (title, best))
    return [_confusion(run, title, standing, most) for title, standing in picked.values()]


def _confusion(run: Run, title: str, standing: Standing, most: int) -> Confusion:
    counts: Counter[tuple[str, str]] = Counter()
    names = {_normal(label): label for label in run.plan.labels}
    for row in run.test:
        answers = run.answers(standing, row.id)
        for record in answers:
            if record.score is None or record.score < 1.0:
                predicted = names.get(_normal(record.text), "(no label)")
                counts[row.target, predicted] += 1 / len(answers)  # type: ignore[assignment]
    top = sorted(counts.items(), key=lambda item: (-round(item[1], 6), item[0]))[:most]
    mixups = tuple(ConfusedPair(gold, predicted, rows) for (gold, predicted), rows in top)
    return Confusion(title, standing, sum(counts.values()), mixups)
