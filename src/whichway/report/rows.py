"""Test rows side by side: what each way answered, errors and disagreements first; and the labels it confuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from whichway.nouns import Record, Standing
from whichway.report import formatting
from whichway.runs.run import Run

State = Literal["right", "partly", "wrong", "unread", "missing"]
STATES: tuple[State, ...] = get_args(State)

LONGEST = 2000  # characters of a row's text, or of an answer, on the page
HALF = 0.5  # with a graded metric, a score below it counts as wrong, and scores so far apart as disagreement


@dataclass(frozen=True, slots=True)
class OtherAnswer:
    """Another answer of one way to a row, by another seed or another draw."""

    text: str
    state: State
    times: int


@dataclass(frozen=True, slots=True)
class WayAnswer:
    """One way's answer to one row."""

    way: str
    text: str
    state: State
    score: float  # of the answer shown; one that could not be read counts 0
    mark: str  # "2 of 3 seeds" where they differ, the seed shown, the score where it is graded
    mean: float = 0.0  # score over all its answers to the row, which is what ways are compared by
    others: tuple[OtherAnswer, ...] = ()  # those that differ from the one shown
    flips: bool = False  # its answers do not all score the same


@dataclass(frozen=True, slots=True)
class AnswerGroup:
    """An answer and the ways that gave it."""

    text: str
    state: State
    answers: tuple[WayAnswer, ...]


@dataclass(frozen=True, slots=True)
class RowView:
    """One test row with all answers."""

    number: int  # 1-based place in the test split
    origin: str
    text: str
    gold: str
    wrong: bool  # the choice is wrong
    differ: bool  # prompts and fine-tunes disagree; baselines would disagree nearly everywhere
    answers: tuple[WayAnswer, ...]  # in the order of the table of ways
    choice: str | None
    length: int  # characters
    believed: str = ""  # the label that the ways agree on, where the row's own is doubtful

    @property
    def all_wrong(self) -> bool:
        """Whether no way has it right; with graded answers, none reaches one half."""
        return bool(self.answers) and all(answer.score < HALF for answer in self.answers)

    @property
    def flips(self) -> bool:
        """Whether answers of a way do not all score the same."""
        return any(answer.flips for answer in self.answers)

    @property
    def groups(self) -> tuple[AnswerGroup, ...]:
        """The answers, equal ones together: right ones first, then as the choice has them."""
        return _answer_groups(self.answers, self.choice)


def binary(run: Run) -> bool:
    """Whether every test answer is right or wrong, nothing between."""
    return all(r.score in (None, 0.0, 1.0) for records in run.test_records.values() for r in records)


def answering(run: Run) -> list[Standing]:
    """The ways that answered test rows, in the order of the verdict."""
    crossed = {candidate for candidate, _ in run.test_records}
    return [s for s in run.verdict.standings if crossed.intersection(s.candidates)]


def side_by_side(run: Run) -> list[RowView]:
    """All test rows: rows the choice gets wrong first, then rows on which the ways disagree."""
    ways, plain = answering(run), binary(run)
    contenders = {s.way for s in ways if s.kind != "baseline" and s.status == "ok"}
    doubts = {d.example: d.believed for d in run.verdict.doubtful.rows} if run.verdict.doubtful else {}
    closed, lines = bool(run.plan.labels), []
    for number, row in enumerate(run.test, start=1):
        answers = tuple(_way_answer(way.way, run.answers(way, row.id), closed, plain) for way in ways)
        chosen = next((a for a in answers if a.way == run.verdict.choice), None)
        lines.append(
            RowView(
                number=number,
                origin=row.origin.replace("\\", "/").rsplit("/", 1)[-1],
                text=row.text,
                gold=row.target,
                wrong=chosen is not None and chosen.score < (1.0 if plain else HALF),
                differ=_differ([a for a in answers if a.way in contenders], plain),
                answers=answers,
                choice=run.verdict.choice,
                length=len(row.text),
                believed=doubts.get(row.id, ""),
            )
        )
    return sorted(lines, key=lambda line: (not line.wrong, not line.differ, -len(line.groups), line.number))


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
    score, points = shown.points, [r.points for r in records]
    marks = [
        mark,
        "" if plain or shown.score is None else formatting.points(score),
        shown.why if shown.text.strip() else "",
    ]
    return WayAnswer(
        way=way,
        text=shown.text.strip() or shown.why,
        state=_state(shown),
        score=score,
        mark=", ".join(m for m in marks if m),
        mean=sum(points) / len(points),
        others=_others(records, _normal(shown.text)),
        flips=min(points) != max(points),
    )


def _others(records: Sequence[Record], shown: str) -> tuple[OtherAnswer, ...]:
    """The answers that differ from the one shown, the most frequent first."""
    counts = Counter(_normal(r.text) for r in records)
    first = {_normal(r.text): r for r in reversed(records)}
    return tuple(
        OtherAnswer(first[text].text.strip(), _state(first[text]), times)
        for text, times in counts.most_common()
        if text != shown
    )


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


def shorten(text: str, longest: int = LONGEST) -> str:
    """The start of a long text, with the number of characters left out."""
    text = text.strip()
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text) - longest:,} more characters)"


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
