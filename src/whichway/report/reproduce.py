"""How a run is done again: the command that its plan amounts to, versions, digests."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from whichway.nouns import Plan, canonical, split_name
from whichway.report import formatting
from whichway.report.data_card import data_card
from whichway.runs.run import Run

TARGET = "TARGET"  # a run folder holds the answers, not the name of their column


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What somebody needs to get the same run."""

    command: str
    options: str  # every option of every way, as flags
    again: tuple[str, ...]  # commands that rebuild what follows from the run folder
    versions: tuple[tuple[str, str], ...]
    digests: tuple[tuple[str, str], ...]
    prompts: int  # the user's own, which the command names as files


def reproduction(run: Run) -> Reproduction:
    """The command and the digests of a run, from its plan and rows."""
    plan = run.plan
    card = data_card(run)
    data = card.files[0] if len(card.files) == 1 else "DATA"
    models = sorted(plan.models) or [plan.model]
    parts = ["whichway run", f"--data {shlex.quote(data)}"]
    parts += [f"--input {shlex.quote(name)}" for name in card.columns]
    parts += [f"--target {TARGET}", f"--ask {shlex.quote(plan.ask)}", f"--name {shlex.quote(plan.task)}"]
    parts += [f"--metric {plan.metric.name}"]
    parts += [f"--model {shlex.quote(_model(plan, name))}" for name in models]
    parts += [f"--prompt PROMPT{number}.txt" for number in range(1, len(plan.prompts) + 1)]
    parts += [f"--ways {','.join(_ways(plan))}", *_flags(plan)]
    return Reproduction(
        command=" \\\n  ".join(parts),
        options=" \\\n  ".join(_settings(plan)),
        again=("whichway verdict RUN", "whichway report RUN"),
        versions=tuple(sorted(plan.versions.items())),
        digests=tuple(_digests(run)),
        prompts=len(plan.prompts),
    )


def _model(plan: Plan, name: str) -> str:
    return formatting.model(plan.models[name]["model"] if name in plan.models else name)


def _ways(plan: Plan) -> list[str]:
    """The ways without the models' short names behind them."""
    return list(dict.fromkeys(split_name(name)[0] for name in plan.ways))


def _flags(plan: Plan) -> Iterator[str]:
    if plan.folds > 1:
        yield f"--folds {plan.folds}"
    else:
        yield "--folds 1"
        yield f"--seeds {len(plan.seeds)}"
    for name, value in (("usd", plan.budget.usd), ("seconds", plan.budget.seconds), ("calls", plan.budget.calls)):
        if value is not None:
            yield f"--budget-{name} {value:g}"
    yield f"--volume {plan.volume:g}"
    yield f"--margin {plan.margin:g}"
    yield f"--confidence {plan.confidence:g}"
    yield f"--price-per-hour {plan.price_per_hour:g}"
    if plan.repeats != 1:
        yield f"--repeats {plan.repeats}"
    if plan.until is not None:
        yield f"--until {plan.until:g}"
    if not plan.race:
        yield "--no-race"
    if plan.curve:
        yield f"--curve {','.join(map(str, plan.curve))}"


def _settings(plan: Plan) -> Iterator[str]:
    for way, options in plan.ways.items():
        for key, value in options.items():
            text = value if isinstance(value, str) else canonical(value)
            yield f"--set {shlex.quote(f'{way}.{key}={text}')}"


def _digests(run: Run) -> Iterator[tuple[str, str]]:
    plan = run.plan
    yield "plan.json, SHA-256", run.plan_sha256
    for split, value in plan.splits.items():
        yield f"rows of {split}", value
    if plan.models:
        yield from ((f"model {name}", facts.get("revision", "")) for name, facts in sorted(plan.models.items()))
    else:
        yield f"model {formatting.model(plan.model)}", plan.revision
    if run.verdict.candidate:
        yield "candidate that ships", run.verdict.candidate
