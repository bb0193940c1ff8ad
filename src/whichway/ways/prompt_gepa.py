"""GEPA (Agrawal et al. 2025, arXiv 2507.19457): the `gepa` package itself, on our bench and paid by the way's budget.

Reflective evolution of the instruction: a minibatch of training rows is answered, the model reads what went wrong and
rewrites the instruction; who is better on the minibatch is validated on dev rows, and parents are drawn from the Pareto
front over those. Nothing is added: no shots, no calibration. Optional: `pip install whichway[gepa]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whichway.contracts import Bench
from whichway.errors import OptionError
from whichway.nouns import Candidate, Example, TrainDevView
from whichway.prompts.plain import base_prompt
from whichway.ways._endpoint import Endpoint, OptimizerBudgetSpent
from whichway.ways._peer import OptimizerClient, as_candidate, calls_left_per_seed, validation

KIND = "prompt"
RANDOM = True
PART = "instruction"


@dataclass(frozen=True, slots=True)
class Options:
    """How GEPA is run."""

    validate: int = field(default=100, metadata={"help": "dev rows that prompts are validated on, at most"})
    minibatch: int = field(default=8, metadata={"help": "training rows of a reflection"})
    calls: int = field(default=1600, metadata={"help": "answers for each seed; the way's budget is the other cap"})
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield GEPA's best prompt, seed by seed."""
    need()
    for place, seed in enumerate(bench.seeds):
        share = calls_left_per_seed(task, bench, place)
        calls = options.calls if share is None else min(share, options.calls)
        rows = validation(task, seed, min(options.validate, max(8, calls // 5)))
        clients: list[OptimizerClient] = []

        def work(url: str, seed: int = seed, rows: tuple[Example, ...] = rows, calls: int = calls) -> None:
            clients.append(OptimizerClient(task, url, rows, options.max_tokens))  # noqa: B023 - used before the next turn
            optimise(clients[0], seed, calls, options.minibatch)  # noqa: B023

        Endpoint(task, bench, calls).run(work)
        prompt, value, count = clients[0].best()
        why = "stopped as its calls were spent" if clients[0].spent else f"stopped after {3 * calls} metric calls"
        gain = "the starting instruction stayed" if prompt.objective == base_prompt(task).objective else "rewritten"
        bench.say(f"seed {seed}: {len(clients[0].scores)} prompts validated; {gain}, dev {value:.3f} on {count}; {why}")
        yield as_candidate(task, bench, prompt, seed, options.max_tokens, "prompt_gepa", f"GEPA, {gain}; {why}")


def need() -> None:
    """Have the package, or say how to get it.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import gepa  # noqa: F401
    except ImportError as error:
        raise OptionError("prompt_gepa needs the package gepa: pip install 'whichway[gepa]'.") from error


def optimise(client: OptimizerClient, seed: int, calls: int, minibatch: int) -> None:
    """Run GEPA until its calls or the budget are spent; the client keeps what it tried."""
    import gepa

    adapter = _Adapter(client)
    try:
        gepa.optimize(
            seed_candidate={PART: base_prompt(client.task).objective},
            trainset=list(client.task.train),
            valset=list(client.rows),
            adapter=adapter,
            reflection_lm=adapter.reflect,
            reflection_minibatch_size=minibatch,
            stop_callbacks=[lambda _state: client.spent or adapter.calls >= 3 * calls],
            cache_evaluation=True,
            seed=seed,
            logger=_Silent(),
            raise_on_exception=True,
        )
    except OptimizerBudgetSpent:
        return


class _Silent:
    """GEPA's log goes nowhere: the way has its own."""

    def log(self, message: str) -> None:
        """Say nothing."""


class _Adapter:
    """GEPA's view of the task: one part, the instruction."""

    propose_new_texts = None  # GEPA's own reflection

    def __init__(self, client: OptimizerClient) -> None:
        self._client = client
        self.calls = 0

    def reflect(self, question: str | Sequence[Mapping[str, Any]]) -> str:
        """The model's answer to GEPA's reflection prompt."""
        self.calls += 1
        text = question if isinstance(question, str) else "\n\n".join(str(m["content"]) for m in question)
        return self._client.write(text, temperature=1.0) or "```\n```"

    def evaluate(self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """Answers and scores of a batch."""
        from gepa import EvaluationBatch

        prompt = self._client.prompt(candidate[PART])
        answered = [self._client.ask(prompt, row) for row in batch]
        self.calls += len(batch)
        texts, scores = [text for text, _ in answered], [score for _, score in answered]
        traces = list(zip(batch, texts, strict=True)) if capture_traces else None
        return EvaluationBatch(outputs=texts, scores=scores, trajectories=traces)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, str]]]:
        """What the model reads of a minibatch."""
        examples = [
            {
                "Inputs": row.text[:200],
                "Generated Outputs": answer,
                "Feedback": "right" if score >= 1 else f"The wanted answer is: {row.target}",
            }
            for (row, answer), score in zip(eval_batch.trajectories, eval_batch.scores, strict=True)
        ]
        return dict.fromkeys(components_to_update, examples)
