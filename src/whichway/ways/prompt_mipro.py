"""MIPROv2 (Opsahl-Ong et al. 2024, arXiv 2406.11695): dspy's own optimiser, on our bench and paid by the way's budget.

Instructions that the model proposes from a summary of the data, and sets of bootstrapped and labelled demonstrations,
combined by Bayesian optimisation on minibatches of dev rows. No calibration is added; instruction and
demonstrations become a `Prompt` of ours. Optional: `pip install whichway[dspy]`.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from whichway.contracts import Bench
from whichway.errors import OptionError
from whichway.nouns import Candidate, Example, Shot, TrainDevView, digest
from whichway.prompts.plain import base_prompt
from whichway.ways._endpoint import Endpoint
from whichway.ways._peer import OptimizerClient, as_candidate, calls_left_per_seed, validation

KIND = "prompt"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options:
    """How MIPROv2 is run."""

    auto: Literal["light", "medium", "heavy"] = field(
        default="light", metadata={"help": "MIPROv2's own setting: light, medium or heavy"}
    )
    demos: int = field(default=4, metadata={"help": "bootstrapped, and labelled, demonstrations, at most"})
    validate: int = field(default=100, metadata={"help": "dev rows that prompts are validated on, at most"})
    longest: int = field(default=240, metadata={"help": "rows with more characters are no demonstrations"})
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield MIPROv2's best prompt, seed by seed."""
    need()
    for place, seed in enumerate(bench.seeds):
        calls = calls_left_per_seed(task, bench, place)
        count = options.validate if calls is None else min(options.validate, max(8, calls // 5))
        rows = validation(task, seed, count)
        clients: list[OptimizerClient] = []

        def work(url: str, seed: int = seed, rows: tuple[Example, ...] = rows) -> Any:
            clients.append(OptimizerClient(task, url, rows, options.max_tokens))  # noqa: B023 - used before the next turn
            return optimise(clients[0], seed, options)  # noqa: B023

        program = Endpoint(task, bench, calls).run(work)
        client = clients[0]
        prompt, value, seen = client.best() if client.spent else _chosen(client, program)
        why = "stopped as its calls were spent" if client.spent else "MIPROv2 ended by itself"
        demos = f"{len(prompt.shots)} demonstrations"
        gain = "the starting instruction" if prompt.objective == base_prompt(task).objective else "a new instruction"
        bench.say(f"seed {seed}: {len(client.scores)} prompts tried; {gain}, {demos}, dev {value:.3f} on {seen}; {why}")
        yield as_candidate(task, bench, prompt, seed, options.max_tokens, "prompt_mipro", f"{gain}, {demos}; {why}")


def need() -> None:
    """Have the packages, or say how to get them.

    Raises:
        OptionError: they are not installed.
    """
    try:
        import dspy  # noqa: F401
        import optuna  # noqa: F401
    except ImportError as error:
        raise OptionError("prompt_mipro needs the packages dspy and optuna: pip install 'whichway[dspy]'.") from error


def optimise(client: OptimizerClient, seed: int, options: Options) -> Any:
    """Run MIPROv2; returns its program, or None when the budget was spent before its end."""
    import dspy
    from dspy.teleprompt import MIPROv2

    model = _model(client)
    signature = dspy.Signature("text -> answer", base_prompt(client.task).objective)
    short = [e for e in client.task.train if len(e.text) + len(e.target) <= options.longest] or list(client.task.train)
    train, val = ([_example(e) for e in rows] for rows in (short, client.rows))
    optimiser = MIPROv2(
        metric=lambda example, answer, _trace=None: model.score(example.text, answer.answer),
        prompt_model=model,
        task_model=model,
        max_bootstrapped_demos=options.demos,
        max_labeled_demos=options.demos,
        auto=options.auto,
        num_threads=1,
        max_errors=1,
        seed=seed + 1,  # it reads 0 as none given
    )
    with dspy.context(lm=model, adapter=_adapter(client, model)), _quiet():
        try:
            return optimiser.compile(dspy.Predict(signature), trainset=train, valset=val)
        except Exception:
            if client.spent:  # dspy wraps what the model raises, or counts it as a wrong answer
                return None
            raise


def _example(row: Example) -> Any:
    import dspy

    return dspy.Example(text=row.text, answer=row.target).with_inputs("text")


def _model(client: OptimizerClient) -> Any:
    """The model as dspy sees it; it holds the scores of answers, which the metric looks up."""
    import dspy

    class Model(dspy.BaseLM):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("whichway", temperature=1.0, max_tokens=256, cache=False)
            self.scores: dict[tuple[str, str], float] = {}

        def score(self, text: str, answer: str) -> float:
            return self.scores.get((text, answer), 0.0)

    return Model()


def _adapter(client: OptimizerClient, model: Any) -> Any:
    """From a signature with demonstrations and inputs to a question for the bench, and back.

    Signatures of MIPROv2's own proposer are asked plainly; what the model writes is their last output field, so that a
    small model is not lost to parsing.
    """
    import dspy

    rows = {row.text: row for row in (*client.task.train, *client.task.dev)}

    class Plain(dspy.Adapter):  # type: ignore[misc]
        def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
            row = rows.get(str(inputs.get("text", "")))
            if row is None or set(signature.output_fields) != {"answer"}:
                return [written(signature, inputs, float(lm_kwargs.get("temperature") or 1.0))]
            prompt = client.prompt(signature.instructions, _shots(demos))
            answer, score = client.ask(prompt, row)
            model.scores[row.text, answer] = score
            return [{"answer": answer}]

    def written(signature: Any, inputs: Any, temperature: float) -> dict[str, Any]:
        fields = "\n".join(f"{name.replace('_', ' ')}: {str(value)[:600]}" for name, value in inputs.items())
        *others, last = signature.output_fields
        text = client.write(f"{signature.instructions}\n\n{fields}\n\n{last.replace('_', ' ')}:", temperature)
        return {**dict.fromkeys(others, ""), last: text}

    return Plain()


def _shots(demos: Any) -> tuple[Shot, ...]:
    return tuple(Shot(str(d["text"]), str(d["answer"])) for d in demos if d.get("text") and d.get("answer"))


def _chosen(client: OptimizerClient, program: Any) -> tuple[Any, float, int]:
    """The program that MIPROv2 returned, as a prompt with its dev score."""
    predictor = program.predictors()[0]
    prompt = client.prompt(predictor.signature.instructions, _shots(predictor.demos))
    row_scores = client.scores.get(digest(prompt.content), {})
    return prompt, sum(row_scores.values()) / max(1, len(row_scores)), len(row_scores)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The optimiser prints and logs; the way has its own log."""
    logger = logging.getLogger("dspy")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
