"""GEPA (Agrawal et al. 2025, arXiv 2507.19457): the `gepa` package itself, on our bench and paid by our purse.

Reflective evolution of the instruction: a minibatch of training rows is answered, the model reads what went wrong and
rewrites the instruction; who is better on the minibatch is validated on dev rows, and parents are drawn from the Pareto
front over those. The house adds no shots and no calibration. Optional: `pip install whichway[gepa]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whichway.contracts import Bench
from whichway.errors import OptionError
from whichway.nouns import Candidate, Example, Practice
from whichway.prompts.plain import first_prompt
from whichway.ways._endpoint import Endpoint, Spent
from whichway.ways._peer import Desk, allowance, made, validation

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


def adapt(task: Practice, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield GEPA's best prompt, seed by seed."""
    need()
    for place, seed in enumerate(bench.seeds):
        share = allowance(task, bench, place)
        calls = options.calls if share is None else min(share, options.calls)
        rows = validation(task, seed, min(options.validate, max(8, calls // 5)))
        desks: list[Desk] = []

        def work(url: str, seed: int = seed, rows: tuple[Example, ...] = rows, calls: int = calls) -> None:
            desks.append(Desk(task, url, rows, options.max_tokens))  # noqa: B023 - used before the next turn
            optimise(desks[0], seed, calls, options.minibatch)  # noqa: B023

        Endpoint(task, bench, calls).run(work)
        prompt, value, count = desks[0].best()
        why = "stopped as its calls were spent" if desks[0].spent else f"stopped after {3 * calls} metric calls"
        gain = "the starting instruction stayed" if prompt.objective == first_prompt(task).objective else "rewritten"
        bench.say(f"seed {seed}: {len(desks[0].scores)} prompts validated; {gain}, dev {value:.3f} on {count}; {why}")
        yield made(task, bench, prompt, seed, options.max_tokens, "prompt_gepa", f"GEPA, {gain}; {why}")


def need() -> None:
    """Have the package, or say how to get it.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import gepa  # noqa: F401
    except ImportError as error:
        raise OptionError("prompt_gepa needs the package gepa: pip install 'whichway[gepa]'.") from error


def optimise(desk: Desk, seed: int, calls: int, minibatch: int) -> None:
    """Run GEPA until its calls or the purse are spent; what it tried stays at the desk."""
    import gepa

    adapter = _Adapter(desk)
    try:
        gepa.optimize(
            seed_candidate={PART: first_prompt(desk.task).objective},
            trainset=list(desk.task.train),
            valset=list(desk.rows),
            adapter=adapter,
            reflection_lm=adapter.reflect,
            reflection_minibatch_size=minibatch,
            stop_callbacks=[lambda _state: desk.spent or adapter.calls >= 3 * calls],
            cache_evaluation=True,
            seed=seed,
            logger=_Silent(),
            raise_on_exception=True,
        )
    except Spent:
        return


class _Silent:
    """GEPA's log goes nowhere: the way has its own."""

    def log(self, message: str) -> None:
        """Say nothing."""


class _Adapter:
    """GEPA's view of the task: one part, the instruction."""

    propose_new_texts = None  # GEPA's own reflection

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.calls = 0

    def reflect(self, question: str | Sequence[Mapping[str, Any]]) -> str:
        """The model's answer to GEPA's reflection prompt."""
        self.calls += 1
        text = question if isinstance(question, str) else "\n\n".join(str(m["content"]) for m in question)
        return self._desk.write(text, temperature=1.0) or "```\n```"

    def evaluate(self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """Answers and scores of a batch."""
        from gepa import EvaluationBatch

        prompt = self._desk.prompt(candidate[PART])
        found = [self._desk.ask(prompt, row) for row in batch]
        self.calls += len(batch)
        texts, scores = [text for text, _ in found], [score for _, score in found]
        traces = list(zip(batch, texts, strict=True)) if capture_traces else None
        return EvaluationBatch(outputs=texts, scores=scores, trajectories=traces)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, str]]]:
        """What the model reads of a minibatch."""
        told = [
            {
                "Inputs": row.text[:200],
                "Generated Outputs": said,
                "Feedback": "right" if score >= 1 else f"The wanted answer is: {row.target}",
            }
            for (row, said), score in zip(eval_batch.trajectories, eval_batch.scores, strict=True)
        ]
        return dict.fromkeys(components_to_update, told)
