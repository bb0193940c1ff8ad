"""What was measured, in the form in which exported things are compared with it.

Answers are the recorded ones. Prompts are rendered once more as the contest rendered them, and a few rows are scored by
the engine with the trained part and without it: the exported scores must lie where the trained ones do, not where the
base's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from whichway.contracts import Backend
from whichway.errors import ModelError
from whichway.nouns import Decoding, Example, Message, Record, Reply, Request, Weights, row_text
from whichway.prompts.ask import answer, questions
from whichway.prompts.nearest import retriever_of
from whichway.ship.forms import Export
from whichway.ship.parity.check_options import CheckOptions
from whichway.training_kinds import KINDS

PROBED = 6  # rows whose scores are compared
PROBE_LABELS = ("Yes", "No", "one", "other")  # scored where texts are written
Scores = list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """A test row, what the winner was asked, and what it answered."""

    id: str
    example: Example
    raw: Any  # the row as a shipped program takes it
    messages: tuple[Message, ...]
    text: str  # the row as what is asked by no prompt reads it
    record: Record | None  # None: this candidate crossed no test split, or the records hold no answers


class Reference:
    """The winner as it was measured.

    Args:
        export: the winner, its run, the backends.
        options: how many rows.
    """

    def __init__(self, export: Export, options: CheckOptions) -> None:
        self.export, self.options = export, options
        self.source = export.source
        self.candidate = export.source.candidate
        self.weights = export.source.candidate.weights
        self.coarse = False  # whether the engine rounds weights to 16 bits here; known once rows were scored

    @property
    def chooses(self) -> bool:
        """Whether labels are scored, not written."""
        return self.candidate.decoding.mode == "choose"

    @property
    def prefers(self) -> bool:
        """Whether the records say which of two texts was likelier, and not what is written."""
        return bool(self.source.plan["metric"]["name"] == "preference")

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that are scored on a few rows."""
        return self.source.labels if self.chooses and self.source.labels else PROBE_LABELS

    @cached_property
    def rows(self) -> tuple[ReferenceRow, ...]:
        """The test rows, as many as the options say, in the order of their ids: no position decides."""
        run, key = self.export.run, self.candidate.id
        records = {} if self.prefers else run.test_records
        known = {row: repeats[0] for (candidate, row), repeats in records.items() if candidate == key}
        lines = sorted((line for line in run.row_lines if line["split"] == "test"), key=lambda line: str(line["id"]))
        lines = [line for line in lines if not known or line["id"] in known][: self.options.rows]
        examples = [example_of(line) for line in lines]
        retrieve = retriever_of(self.export.backends)
        retrieve.prepare(self.candidate.prompt, (example.text for example in examples))
        rows = []
        for line, example in zip(lines, examples, strict=True):
            messages = questions(self.candidate, example, (), retrieve=retrieve)[0].messages
            raw: Any = dict(example.input)
            if self.source.conversation and example.turns:
                raw = [{"role": turn.role, "content": turn.content} for turn in example.turns]
            rows.append(ReferenceRow(line["id"], example, raw, messages, row_text(messages), known.get(line["id"])))
        return tuple(rows)

    @cached_property
    def replies(self) -> dict[str, Reply]:
        """Row -> the engine's answer now, of candidates that crossed no test split (one made of all rows)."""
        return self.answered_now([row for row in self.rows if row.record is None])

    def answered_now(self, rows: Sequence[ReferenceRow]) -> dict[str, Reply]:
        """Row -> the engine's answer now; of a cascade, what its first stage answers."""
        if not rows:
            return {}
        labels = self.source.labels if self.chooses else ()
        all_requests = [self._requests(row, self.candidate.decoding, labels) for row in rows]
        with self._backend.open(self.weights, self.source.adapter) as session:
            flat = [one for requests in all_requests for one in requests]
            replies = iter(session.choose(flat) if labels else session.generate(flat))
            return {
                row.id: answer(self.candidate, [next(replies) for _ in requests])
                for row, requests in zip(rows, all_requests, strict=True)
            }

    def answer_of(self, row: ReferenceRow) -> str:
        """The measured answer; "" where none could be read off what was written."""
        unread = bool(self.candidate.decoding.answer_mark) and row.record is not None and row.record.outcome != "ok"
        if unread or (row.record is None and self.replies[row.id].unread):
            return ""
        return (row.record.text if row.record is not None else self.replies[row.id].text).strip()

    def _requests(self, row: ReferenceRow, decoding: Decoding, labels: tuple[str, ...]) -> list[Request]:
        votes = range(decoding.votes)
        return [Request(row.messages, decoding.without_votes, labels, number) for number in votes]

    @property
    def _backend(self) -> Backend:
        return self.export.backends[self.weights.backend]

    @property
    def scored(self) -> bool:
        """Whether scores of labels can be compared: not of hosted models, nor of sets of labels."""
        kind = KINDS.get(self.weights.kind)
        return self.weights.backend in ("local", "encoder") and not (kind is not None and kind.sets)

    @cached_property
    def tuned(self) -> Scores:
        """Label scores of a few rows, with the trained part; [] where they cannot be compared."""
        return self._scores(self.weights, self.source.adapter) if self.scored else []

    @cached_property
    def base(self) -> Scores:
        """The same without the trained part; [] where there is none, or where the base alone cannot answer."""
        weights = self.weights
        if not self.scored or weights.adapter is None or weights.backend != "local" or weights.kind == "head":
            return []
        return self._scores(Weights(weights.backend, weights.base, weights.revision), None)

    def _scores(self, weights: Weights, adapter: Path | None) -> Scores:
        decoding = self.candidate.decoding
        scoring = decoding if self.chooses else replace(Decoding(), thinking=decoding.thinking)
        requests = [Request(row.messages, scoring, self.labels) for row in self.rows[:PROBED]]
        with self._backend.open(weights, adapter) as session:
            module: Any = getattr(session, "module", None)
            if module is not None:
                self.coarse = any(part.dtype.itemsize < 4 for part in module.parameters())
            return [dict(reply.scores) for reply in session.choose(requests)]

    @cached_property
    def _renderer(self) -> Any:
        from whichway.engine.train import tokenization_report
        from whichway.ship.forms._winners import base_folder

        return tokenization_report.reader(base_folder(self.source)).renderer

    @cached_property
    def prompts(self) -> list[list[int]]:
        """Token ids of the rows' prompts; [] where the model is not on this machine."""
        if self.weights.backend != "local" or self.candidate.decoding.channel:
            return []
        thinking = self.candidate.decoding.thinking
        ids: list[list[int]] = self._renderer.prompt_ids([row.messages for row in self.rows], thinking)
        return ids

    @property
    def answers(self) -> dict[str, list[int]]:
        """Token ids of the labels that are scored, each with what ends it."""
        return {label: list(self._renderer.answer_ids(label)) for label in self.labels}

    @property
    def closing(self) -> list[int]:
        """Ids that count as the end of an answer where labels are scored."""
        return sorted(self._renderer.closing)

    @property
    def turn_end(self) -> int:
        """The id that ends an answer."""
        return int(self._renderer.turn_end)

    def marked(self, row: ReferenceRow) -> bool:
        """Whether a row holds words of control tokens: we read them as text, and most programs do not."""
        words = [mark.lower() for mark in self._renderer.marks]
        return any(word in turn.content.lower() for turn in row.messages for word in words)

    @property
    def tokenizer(self) -> Any:
        """The base model's."""
        return self._renderer.tokenizer

    def token_text(self, ids: list[int]) -> str:
        """Token ids as text, each in quotes."""
        return " ".join(repr(self._renderer.tokenizer.decode([i], skip_special_tokens=False)) for i in ids)

    @cached_property
    def base_folder(self) -> Path:
        """The folder of the base model.

        Raises:
            ModelError: it is not on this machine.
        """
        from whichway.ship.forms._winners import base_folder

        if self.weights.backend != "local":
            raise ModelError(f"The model {self.weights.base} is not on this machine.")
        return base_folder(self.source)


def example_of(line: dict[str, Any]) -> Example:
    """A row of the run folder as an example."""
    turns = tuple(Message(turn["role"], turn["content"], bool(turn.get("earlier"))) for turn in line.get("turns") or ())
    return Example(line["input"], line["target"], line.get("group"), turns=turns)
