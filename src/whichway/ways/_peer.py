"""What other packages' optimisers share on our bench: rows, questions over the endpoint, and the best so far.

They are treated fairly: closed labels are answered by scoring (no answer of a small model is lost to parsing), prompts
are rendered plainly by our own template, and when the budget is spent what they had found until then stands.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from whichway.contracts import Bench
from whichway.errors import BudgetSpent, WayFailed
from whichway.nouns import Candidate, Example, Message, Prompt, Shot, TrainDevView, digest, to_json
from whichway.prompts.plain import base_prompt, decoding_for
from whichway.prompts.template import messages
from whichway.search.optimizer import first_look
from whichway.ways._endpoint import OptimizerBudgetSpent, content, post

FEWEST = 35  # rows of a best-so-far, where there are so many: a minibatch of MIPROv2


@dataclass(slots=True)
class OptimizerClient:
    """A client of the endpoint: the questions of one optimiser, and the scores of its prompts.

    Args:
        task: what is asked.
        url: of the endpoint.
        rows: dev rows that the optimiser validates on.
        max_tokens: of a written answer.
    """

    task: TrainDevView
    url: str
    rows: tuple[Example, ...]
    max_tokens: int
    spent: bool = False
    prompts: dict[str, Prompt] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # prompt -> dev row -> score

    def prompt(self, instruction: str, shots: tuple[Shot, ...] = ()) -> Prompt:
        """The starting prompt with another instruction and shots.

        Raises:
            WayFailed: its own shots are chosen by a sentence encoder, which works where the bench is.
        """
        first = base_prompt(self.task)
        if first.encoder is not None:
            raise WayFailed("this optimiser cannot start from a prompt whose shots a sentence encoder chooses")
        return replace(first, objective=instruction.strip(), shots=shots)

    def ask(self, prompt: Prompt, row: Example) -> tuple[str, float]:
        """Answer and score of a row.

        Raises:
            Spent: the budget is spent.
        """
        more = {"structured_outputs": {"choice": list(self.task.labels)}} if self.task.labels else {}
        facts: dict[str, object] = {"row": row.id}
        if row.turns or prompt.variables:  # the messages alone do not say which of them are the row's
            facts["prompt"] = to_json(prompt)
        try:
            body = post(self.url, messages(prompt, row), max_tokens=self.max_tokens, metadata=facts, **more)
        except OptimizerBudgetSpent:
            self.spent = True
            raise
        score = float(body.get("score") or 0.0)
        name = digest(prompt.content)
        self.prompts.setdefault(name, prompt)
        if row in self.rows:
            self.scores.setdefault(name, {})[row.id] = score
        return content(body), score

    def write(self, question: str, temperature: float, max_tokens: int = 256) -> str:
        """What the model writes; empty when the question is longer than it can read.

        Raises:
            Spent: the budget is spent.
        """
        try:
            body = post(self.url, [Message("user", question)], max_tokens=max_tokens, temperature=temperature)
        except OptimizerBudgetSpent:
            self.spent = True
            raise
        return content(body)

    def best(self) -> tuple[Prompt, float, int]:
        """The prompt with the best mean on the dev rows it saw, its mean and rows; the earlier when equal.

        Raises:
            WayFailed: no prompt was measured.
        """
        if not self.scores:
            raise WayFailed("the budget was spent before any prompt was measured; give it more calls")
        enough = min(FEWEST, max(len(row_scores) for row_scores in self.scores.values()))
        means = {n: sum(f.values()) / len(f) for n, f in self.scores.items() if len(f) >= enough}
        name = max(means, key=lambda n: means[n])
        return self.prompts[name], means[name], len(self.scores[name])


def validation(task: TrainDevView, seed: int, count: int) -> tuple[Example, ...]:
    """Dev rows to validate on, drawn by the seed."""
    return tuple(random.Random(f"{seed}/validation").sample(task.dev, min(count, len(task.dev))))


def as_candidate(
    task: TrainDevView, bench: Bench, prompt: Prompt, seed: int, max_tokens: int, way: str, note: str
) -> Candidate:
    """An optimiser's prompt as a candidate."""
    return Candidate(prompt, bench.base, decoding_for(task, max_tokens, 0.0, way), seed=seed, note=note)


def calls_left_per_seed(task: TrainDevView, bench: Bench, place: int) -> int | None:
    """Calls for this seed: an equal share of what is left, less the rows that the contest looks at first on dev.

    Raises:
        BudgetSpent: too little is left.
    """
    left = bench.left.calls
    if left is None:
        return None
    share = left // (len(bench.seeds) - place) - first_look(len(task.dev))
    if share < 1:
        raise BudgetSpent("too little is left of the budget for another seed")
    return share
