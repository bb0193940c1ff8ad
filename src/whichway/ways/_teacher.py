"""What the ways share that learn from a teacher: who teaches, what it answers, and which of its answers are believed.

A teacher is a prompted model, whose best prompts vote, or another way of the contest. How sure it is of an answer: for
labels the mean probability that its prompts give to the label; for texts how much the answer agrees with those of the
other prompts. The least confidence that is believed is chosen on dev.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from whichway.contracts import Bench, Way
from whichway.errors import BudgetSpent, WayFailed
from whichway.nouns import Budget, Candidate, Example, Reply, TrainDevView, split_name
from whichway.prompts.nearest import DEFAULT
from whichway.ways._prompt import one_seed, prompt_candidates
from whichway.ways._spending import bought_in_blocks

TEACHER = {
    "help": "who labels: a model, or a way of the contest such as tune_encoder; empty: base_encoder where there are "
    "labels and its encoder is here, else the model itself",
    "teacher": True,
}
LOCAL_TEACHER = "base_encoder"
BLOCK = 64  # rows labelled at once: what a spent budget can cost
SHARES = (1.0, 0.75, 0.5, 0.25)  # of the dev rows, that thresholds on confidence leave
FEWEST = 8  # dev rows that a threshold must leave
Facts = tuple[float, float]  # confidence, score


@dataclass(frozen=True, slots=True)
class TeacherAnswer:
    """An answer of a teacher, how sure it is, and the member whose text it is."""

    text: str
    confidence: float
    member: int


@dataclass(frozen=True, slots=True)
class Teacher:
    """Candidates that answer together."""

    name: str
    members: tuple[Candidate, ...]

    def answers(self, task: TrainDevView, bench: Bench, rows: Sequence[Example]) -> list[TeacherAnswer | None]:
        """The answer to each row; None where none could be read.

        Raises:
            BudgetSpent: the budget is spent.
        """
        replies = [bench.ask(member, rows) for member in self.members]
        return [chosen(one, task.labels) for one in zip(*replies, strict=True)]

    def dev(self, task: TrainDevView, bench: Bench) -> list[Facts]:
        """Confidence and score of its answer to each dev row; an answer that cannot be read has neither.

        Raises:
            BudgetSpent: the budget is spent.
        """
        records = [bench.score(member, task.dev) for member in self.members]
        answers = self.answers(task, bench, task.dev)
        return [
            (0.0, 0.0) if answer is None else (answer.confidence, records[answer.member][row].points)
            for row, answer in enumerate(answers)
        ]


def teacher_of(
    task: TrainDevView, bench: Bench, word: str, prompts: Sequence[str], agree: int, backend: str = ""
) -> Teacher:
    """The teacher that a word names.

    Args:
        task: what is asked.
        bench: where it is made; what it takes is paid here.
        word: a way, a way on one of the contest's models ("prompt_shots@big"), a model, or "" for the best at hand.
        prompts: prompting ways whose candidates are tried, where it is a model.
        agree: the best of these that vote.
        backend: of a model that is none of the contest's; empty: it is one.

    Raises:
        WayFailed: it cannot teach.
        BudgetSpent: the budget is spent.
    """
    if not word and task.labels and bench.way(LOCAL_TEACHER) and bench.encoder(DEFAULT) is not None:
        word = LOCAL_TEACHER
    way, model = split_name(word)
    other = bench.way(way) if word and not backend else None
    if other is not None:
        return _from_way(task, one_seed(bench, bench.model(model) if model else None), word, other)
    base = bench.base if not word else bench.weights(backend, word) if backend else bench.model(word)
    one = one_seed(bench, base)
    candidates = list(prompt_candidates(task, one, prompts))
    if not candidates:
        raise WayFailed(f"{word or 'the model'} has no prompt to teach with")
    raced = one.race(candidates, keep=max(1, agree))
    members: dict[str, Candidate] = {}
    for result in raced:  # of those that differ in the labels' biases alone, the best
        bare = replace(result.candidate, decoding=replace(result.candidate.decoding, bias=()))
        members.setdefault(bare.id, result.candidate)
    if not members:
        raise BudgetSpent(f"the budget is spent before a prompt of {word or 'the model'} was measured")
    return Teacher(word or "the model itself", tuple(members.values())[: max(1, agree)])


def _from_way(task: TrainDevView, bench: Bench, word: str, other: tuple[Way, Any]) -> Teacher:
    way, options = other
    if way.KIND == "both":
        raise WayFailed(f"{word} cannot teach; name a model, or a way of another kind")
    try:
        candidates = list(way.adapt(task, bench, options))
    except WayFailed as failed:
        raise WayFailed(f"teacher {word}: {failed}") from failed
    if not candidates:
        raise WayFailed(f"teacher {word} gave no candidate")
    raced = bench.race(candidates)
    if not raced:
        raise BudgetSpent(f"the budget is spent before teacher {word} was measured")
    return Teacher(word, (raced[0].candidate,))


def chosen(replies: Sequence[Reply], labels: Sequence[str]) -> TeacherAnswer | None:
    """The answer of several replies to one row; the first of equals, None where none can be read."""
    answers = [
        TeacherAnswer(reply.text, _confidence(reply.text, place, replies, labels), place)
        for place, reply in enumerate(replies)
        if reply.finish == "stop" and not reply.unread and reply.text.strip() and (not labels or reply.text in labels)
    ]
    return max(answers, key=lambda answer: answer.confidence, default=None)


def _confidence(text: str, place: int, replies: Sequence[Reply], labels: Sequence[str]) -> float:
    if labels:
        return math.fsum(_probability(reply, text) for reply in replies) / len(replies)
    others = [reply.text for n, reply in enumerate(replies) if n != place]
    return math.fsum(_overlap(text, other) for other in others) / len(others) if others else 1.0


def _probability(reply: Reply, label: str) -> float:
    """That a reply gives to a label, by its scores where it has some."""
    if label not in reply.scores:
        return float(reply.text == label)
    top = max(reply.scores.values())
    return math.exp(reply.scores[label] - top) / math.fsum(math.exp(s - top) for s in reply.scores.values())


def _overlap(one: str, other: str) -> float:
    """F1 of the words of two texts."""
    first, second = (Counter(re.findall(r"\w+", text.casefold())) for text in (one, other))
    common = sum((first & second).values())
    return 2 * common / max(1, sum(first.values()) + sum(second.values()))


def least_confidence(dev: Sequence[Facts], chance: float) -> float:
    """The confidence from which answers are worth learning from, chosen on dev.

    Labels that are wrong at random with probability η are worth (1 − 2η)² of clean ones when there are two (Angluin &
    Laird 1988); with more, the square of how far the accuracy stands above chance. So the threshold is the one with the
    most rows times that; of equals the lower.

    Args:
        dev: confidence and score of the answer to each dev row.
        chance: the score of a guess.
    """
    ranked = sorted((confidence for confidence, _ in dev), reverse=True)
    best, worth = 0.0, -1.0
    for share in SHARES:
        count = math.ceil(share * len(ranked))
        if share < 1 and count < FEWEST:
            break
        limit = ranked[count - 1] if share < 1 else 0.0
        left = [score for confidence, score in dev if confidence >= limit]
        above = max(0.0, math.fsum(left) / len(left) - chance) / (1 - chance) if left else 0.0
        if len(left) * above**2 > worth + 1e-12:
            best, worth = limit, len(left) * above**2
    return best


def mean_score(dev: Sequence[Facts], least: float = 0.0) -> float | None:
    """The mean score of the answers with so much confidence; None where there are none."""
    scores = [score for confidence, score in dev if confidence >= least]
    return math.fsum(scores) / len(scores) if scores else None


def label_rows(
    task: TrainDevView, bench: Bench, teacher: Teacher, rows: Sequence[Example], reserve: Budget
) -> list[tuple[Example, TeacherAnswer]]:
    """Rows with the teacher's answers, as far as the budget goes.

    Args:
        task: what is asked.
        bench: pays.
        teacher: answers.
        rows: without a wanted answer.
        reserve: of the budget, for what comes after.
    """

    def answers(block: Sequence[Example]) -> Sequence[TeacherAnswer | None]:
        return teacher.answers(task, bench, block)

    pairs = bought_in_blocks(bench, rows, BLOCK, reserve, answers, "rows are labelled")
    return [(row, answer) for row, answer in pairs if answer is not None]
