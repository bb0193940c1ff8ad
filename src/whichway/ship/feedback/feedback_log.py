"""Feedback on served answers: which answers were given, what users say of them, and the file that holds it."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from whichway.nouns import Example, Message, to_json
from whichway.ship.feedback.drift import DataReference, DriftFinding, answer_drift, input_drift, thumb_drift
from whichway.ship.served_models import ServedModel

FILE = "feedback.jsonl"
Thumbs = Literal["up", "down"]
_ANSWERS = 10_000  # that feedback can still be given to
_INPUTS = 5_000  # the latest, which are compared with the data


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer that was served, for as long as feedback may come."""

    model: str
    candidate: str  # id; "": the bare model
    way: str
    input: Mapping[str, str]  # the row's fields; empty where the bare model was asked
    turns: tuple[Message, ...]
    texts: tuple[str, ...]  # of the choices
    labels: tuple[str, ...]  # one of which a corrected answer must be
    created_at: int


@dataclass(frozen=True, slots=True)
class FeedbackLine:
    """One line of the feedback file.

    Attributes:
        id: of this feedback.
        created_at: when it was given, seconds since 1970.
        completion: id of the answer.
        answered_at: when that was given.
        run: folder of the run that was served; "" for a bare model.
        model: the model id that was asked.
        candidate: its id.
        way: that made it.
        input: the row's fields.
        turns: of a row that is a conversation.
        answer: that was served.
        thumbs: what the user thinks of it.
        target: the wanted answer: the corrected one, or the served one where the thumb is up; None: not known.
        corrected: whether the target is the user's own.
        comment: the user's words.
    """

    id: str
    created_at: int
    completion: str
    answered_at: int
    run: str
    model: str
    candidate: str
    way: str
    input: Mapping[str, str]
    answer: str
    thumbs: Thumbs | None
    target: str | None
    corrected: bool
    turns: tuple[Message, ...] = ()
    comment: str = ""


@dataclass(slots=True)
class _ServedCounts:
    """What was served under one model id."""

    candidate: str
    answers: Counter[str] = field(default_factory=Counter)
    thumbs: Counter[str] = field(default_factory=Counter)


class FeedbackLog:
    """Remembers served answers in memory, and writes a row to disk only when feedback to it comes.

    Args:
        folder: where the feedback file lies; made with its first line.
        run: the run folder, for the provenance of a line; "" for a bare model.
        data: what the run's own rows are like; None: nothing is compared.
    """

    def __init__(self, folder: Path, run: str = "", data: DataReference | None = None) -> None:
        self.path, self._run, self._data = folder / FILE, run, data
        self._answers: OrderedDict[str, GivenAnswer] = OrderedDict()
        self._inputs: deque[str] = deque(maxlen=_INPUTS)
        self._seen: dict[str, _ServedCounts] = {}
        self._guard = threading.Lock()
        for line in read_feedback(self.path):
            if line.thumbs is not None:
                self._of(line.model, line.candidate).thumbs[line.thumbs] += 1

    def note(self, name: str, model: str, served: ServedModel, row: Example | None, texts: Sequence[str]) -> None:
        """Remember an answer.

        Args:
            name: its completion id.
            model: the model id.
            served: what that stands for.
            row: that was asked; None for the client's own messages.
            texts: of the choices.
        """
        candidate = served.candidate
        given_answer = GivenAnswer(
            model,
            candidate.id if candidate else "",
            candidate.way if candidate else "",
            dict(row.input) if row else {},
            row.turns if row else (),
            tuple(texts),
            served.labels,
            int(time.time()),
        )
        with self._guard:
            self._answers[name] = given_answer
            if len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
            if row is not None:
                self._inputs.append(row.text)
                self._of(model, given_answer.candidate).answers.update(texts)

    def find(self, name: str) -> GivenAnswer | None:
        """An answer by its completion id; None: there was none, or it is too long ago."""
        return self._answers.get(name)

    def add(self, name: str, choice: int, thumbs: Thumbs | None, target: str | None, comment: str) -> FeedbackLine:
        """Write feedback to a known answer.

        Args:
            name: its completion id.
            choice: number of the text.
            thumbs: what the user thinks of it.
            target: the corrected answer; None: none was given.
            comment: the user's words.
        """
        given_answer = self._answers[name]
        text = given_answer.texts[choice]
        wanted = target if target is not None else text if thumbs == "up" else None
        line = FeedbackLine(
            id=f"feedback-{secrets.token_hex(12)}", created_at=int(time.time()), completion=name,
            answered_at=given_answer.created_at, run=self._run, model=given_answer.model,
            candidate=given_answer.candidate, way=given_answer.way, input=given_answer.input, answer=text,
            thumbs=thumbs, target=wanted, corrected=target is not None, turns=given_answer.turns, comment=comment,
        )  # fmt: skip
        with self._guard:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(to_json(line), ensure_ascii=False) + "\n")
                out.flush()
                os.fsync(out.fileno())
            if thumbs is not None:
                self._of(line.model, line.candidate).thumbs[thumbs] += 1
        return line

    def drift(self) -> list[DriftFinding]:
        """How what was served since the start differs from the data."""
        if self._data is None:
            return []
        with self._guard:
            findings = input_drift(self._data, tuple(self._inputs))
            for name, seen in self._seen.items():
                if seen.candidate in self._data.answers:
                    findings += answer_drift(name, self._data.answers[seen.candidate], seen.answers)
                if seen.candidate in self._data.scores:
                    score, thumbs = self._data.scores[seen.candidate], seen.thumbs
                    findings += thumb_drift(name, score, thumbs["up"], thumbs["down"])
        return findings

    def summary(self) -> dict[str, Any]:
        """Counts of the file, the comparisons, and their warnings."""
        lines, findings = read_feedback(self.path), self.drift()
        counts = {
            "rows": len(lines),
            "up": sum(line.thumbs == "up" for line in lines),
            "down": sum(line.thumbs == "down" for line in lines),
            "corrected": sum(line.corrected for line in lines),
        }
        warnings = [finding.warning for finding in findings if finding.warning]
        return {**counts, "served": len(self._inputs), "drift": [asdict(f) for f in findings], "warnings": warnings}

    def _of(self, model: str, candidate: str) -> _ServedCounts:
        return self._seen.setdefault(model, _ServedCounts(candidate))


def read_feedback(path: Path) -> list[FeedbackLine]:
    """The lines of a feedback file; one that a kill cut short is left out. None where there is no file."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            facts = json.loads(text)
            turns = tuple(Message(**turn) for turn in facts.pop("turns", ()))
            lines.append(FeedbackLine(**facts, turns=turns))
        except (ValueError, TypeError):
            continue
    return lines
