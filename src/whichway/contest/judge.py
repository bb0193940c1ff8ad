"""A judge of written answers: a model that gives levels by a rubric, and prefers one of two answers.

It stands beside the metric and never decides: how noisy it is can be measured here, whether it judges as people would
cannot. It is asked through a bench, so it is metered, cached and in the ledger (`judge`), with a budget of its own.

- Each answer is judged K times, with the levels listed in another order each time: an order that should not matter, so
  what differs is the judge's own noise. (At a temperature above zero its word is drawn as well.)
- Each two ways are compared on each input in both orders, so that a liking for the first place cannot favour a way, and
  is seen (Zheng et al. 2023, arXiv 2306.05685). Only what it says both ways round counts as a win.

An empty answer is not shown to it: it has the worst level, and loses.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from whichway.contest.bench import RunBench
from whichway.contest.ledger import RunLedger
from whichway.contest.plan import Components, Settings
from whichway.contest.selection.select import WayRun
from whichway.errors import AdapterNotLive, BudgetSpent, OptionError, WayFailed
from whichway.events import WarningGiven, WayBegan, WayTested
from whichway.nouns import (
    Candidate,
    Decoding,
    Example,
    JudgeSpec,
    MetricSpec,
    Prompt,
    Record,
    Task,
    TrainDevView,
    Weights,
    canonical,
    digest,
)
from whichway.runs.folder import write_text

ACCOUNT = "judge"
PLACES = ("first", "second")
FILE = "judgements.jsonl"
Crossed = Sequence[Sequence[Sequence[Record]]]  # [finalist][repeat][row]


def refuse_judge(task: Task, components: Components, settings: Settings) -> None:
    """Refuse a judge that would judge itself, or what it proposed, unless the user said so.

    Raises:
        OptionError: it is the model under trial or a proposer; says what to do.
    """
    spec, judge = task.judge, components.judge
    if spec is None or judge is None or spec.itself:
        return
    proposers = {str(options.get("proposer", "")) for options in settings.ways.values()} - {""}
    own = any((judge.backend, judge.revision) == (base.backend, base.revision) for base in components.bases)
    if own or spec.model in proposers:
        role = "a model under trial" if own else "a proposer of this run"
        raise OptionError(
            f"judge: {spec.model} is {role}, and models like their own answers. Name another model under judge:, or "
            "say `itself: true` there if you mean it."
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """The answers of one way: those of the finalist that ships."""

    way: str
    candidate: str
    records: Sequence[Sequence[Record]]  # [repeat][row]


class Judge:
    """A judge with its benches: one for levels, one for comparisons.

    Args:
        task: with a judge.
        weights: of the judge.
        ledger: of the run.
    """

    def __init__(self, task: Task, spec: JudgeSpec, weights: Weights, ledger: RunLedger) -> None:
        self.task, self.spec, self.weights = task, spec, weights
        self.levels, self.places = (self._bench(ledger, labels) for labels in (spec.levels, PLACES))
        self.places.account.spend = self.levels.account.spend  # one budget for both questions
        self.inputs = {e.id: e.text for e in task.test}

    def _bench(self, ledger: RunLedger, labels: tuple[str, ...]) -> RunBench:
        practice = TrainDevView(ACCOUNT, self.spec.rubric, (), (), MetricSpec("checks"), labels)
        return RunBench(ledger, ACCOUNT, practice, seeds=(0,))

    def grade(self, judged: Judged, again: int) -> Iterator[dict[str, Any]]:
        """Every answer of a way, judged once more."""
        order = random.Random(f"levels/{again}").sample(self.spec.levels, len(self.spec.levels))
        prompt = Prompt(
            context=f"An answer was given to this task: {self.task.ask}",
            objective=f"Judge the answer. {self.spec.rubric}",
            labels=tuple(order),
            reminder="The answer is:",
        )
        rows = [record for run in judged.records for record in run]
        texts = [f"Input: {self.inputs[r.example]}\n\nAnswer: {r.text}" for r in rows]
        levels = self._chosen_words(
            self.levels, prompt, self.spec.levels, texts, [bool(r.text.strip()) for r in rows], again
        )
        top = len(self.spec.levels) - 1
        for record, level in zip(rows, levels, strict=True):
            empty = not record.text.strip()
            place = 0 if empty else None if level is None else self.spec.levels.index(level)
            yield {
                "what": "level", "way": judged.way, "candidate": judged.candidate, "example": record.example,
                "repeat": record.repeat, "again": again, "text": digest(record.text),
                "score": None if place is None else place / top,
            }  # fmt: skip

    def compare(self, one: Judged, two: Judged, again: int) -> Iterator[dict[str, Any]]:
        """The first answers of two ways to every input, in both orders."""
        prompt = Prompt(
            context=f"Two answers were given to this task: {self.task.ask}",
            objective=f"Which of the two answers is better? {self.spec.rubric}",
            labels=PLACES,
            reminder="The better answer is the",
        )
        pairs = list(zip(one.records[0], two.records[0], strict=True))
        alike = [a.text.split() == b.text.split() for a, b in pairs]
        both = [bool(a.text.strip() and b.text.strip()) for a, b in pairs]
        for order in (0, 1):
            shown = [(a, b) if order == 0 else (b, a) for a, b in pairs]
            texts = [
                f"Input: {self.inputs[left.example]}\n\nFirst answer: {left.text}\n\nSecond answer: {right.text}"
                for left, right in shown
            ]
            questions = [fit and not same for fit, same in zip(both, alike, strict=True)]
            words = self._chosen_words(self.places, prompt, PLACES, texts, questions, again)
            for (a, b), (left, right), word, put in zip(pairs, shown, words, questions, strict=True):
                if put:
                    better = None if word is None else (left if word == PLACES[0] else right)
                elif a.text.split() == b.text.split():
                    continue  # the same text: no question
                else:
                    better = a if a.text.strip() else b
                yield {
                    "what": "pair", "first": one.way, "second": two.way, "example": a.example, "again": again,
                    "order": order, "asked": put, "place": word,
                    "better": None if better is None else (one.way if better is a else two.way),
                }  # fmt: skip

    def _chosen_words(
        self, bench: RunBench, prompt: Prompt, words: Sequence[str], texts: Sequence[str], put: Sequence[bool],
        again: int,
    ) -> list[str | None]:  # fmt: skip
        """One of the words for each text that is put to the judge; None where it is not, or cannot be read."""
        drawn = self.spec.temperature > 0
        decoding = Decoding("generate" if drawn else "choose", max_tokens=12, temperature=self.spec.temperature)
        candidate = Candidate(prompt, self.weights, decoding, ACCOUNT)
        examples = [Example({"text": text}, "") for text, fit in zip(texts, put, strict=True) if fit]
        replies = iter(bench.consult(candidate, examples, again))
        return [_read(next(replies).text, words) if fit else None for fit in put]


def _read(text: str, words: Sequence[str]) -> str | None:
    """The word that an answer names first; None where it names none."""
    folded = text.casefold()
    places = [(folded.find(word.casefold()), -len(word), word) for word in words if word.casefold() in folded]
    return min(places)[2] if places else None


def write_judgements(task: Task, ledger: RunLedger, tried: Sequence[WayRun], crossed: Sequence[Crossed]) -> None:
    """Let the judge judge what the finalists wrote, and write judgements.jsonl; nothing without a judge."""
    spec, weights = task.judge, ledger.components.judge
    if spec is None or weights is None:
        return
    judged = [_shipped(one, runs) for one, runs in zip(tried, crossed, strict=True) if runs]
    judge = Judge(task, spec, weights, ledger)
    lines: list[Mapping[str, Any]] = []
    ledger.tell(WayBegan(ACCOUNT, len(tried), len(tried)))
    try:
        for again in range(spec.repeats):
            for one in judged:
                lines += judge.grade(one, again)
        for again in range(spec.repeats if spec.temperature > 0 else 1):
            for one, two in combinations(judged, 2) if spec.pairs else ():
                lines += judge.compare(one, two, again)
    except (BudgetSpent, WayFailed, AdapterNotLive) as error:
        ledger.tell(WarningGiven(f"the judge stopped: {error}"))
    write_text(ledger.folder / FILE, "".join(canonical(line) + "\n" for line in lines))
    ledger.tell(WayTested(ACCOUNT, len(judged)))


def _shipped(tried: WayRun, runs: Crossed) -> Judged:
    """The finalist that is best on dev, the first where that is not known."""
    best = max(range(len(runs)), key=lambda i: (tried.finalists[i][1] or 0.0, -i))
    return Judged(tried.name, tried.finalists[best][0].id, runs[best])
