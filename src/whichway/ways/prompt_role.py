"""Roles, measured: the plain prompt under several personas, and without one.

On questions of fact 162 roles gave no gain, and picking the best one did no better than chance (arXiv 2311.10054);
roles do move tone and style. So the prompt without a role is always among the candidates, and comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.resources import files

from whichway.contracts import Bench
from whichway.nouns import Candidate, Layout, TrainDevView
from whichway.prompts.calibrate import batch_calibrated
from whichway.prompts.plain import base_prompt, decoding_for

KIND = "prompt"
RANDOM = False


@dataclass(frozen=True, slots=True)
class Options:
    """The roles to try, and how they are asked."""

    roles: tuple[str, ...] = field(default=(), metadata={"help": "roles to try; none: those of the package's list"})
    layout: Layout = field(default="system", metadata={"help": "where the instructions stand: system or user"})
    calibrate: int = field(
        default=64, metadata={"help": "training inputs (without targets) for batch calibration; 0: none"}
    )
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})
    temperature: float = field(
        default=0.0, metadata={"help": "0: the likeliest text; above: drawn, see --repeats (free text only)"}
    )


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield the prompt without a role, then with each; closed labels are calibrated."""
    decoding = decoding_for(task, options.max_tokens, options.temperature, "prompt_role")
    plain = replace(base_prompt(task), layout=options.layout)
    parent = ""
    for role in ("", *(options.roles or listed(task.name))):
        note = f"role: {role}" if role else "no role"
        candidate = Candidate(replace(plain, role=role), bench.base, decoding, note=note, parent=parent)
        if task.labels and options.calibrate:
            candidate = batch_calibrated(candidate, bench, task.train[: options.calibrate])
        parent = parent or candidate.id
        yield candidate


def listed(name: str) -> tuple[str, ...]:
    """The package's roles for a task of that name."""
    import yaml

    text = files("whichway").joinpath("prompts/roles.yaml").read_text(encoding="utf-8")
    return tuple(str(role).replace("{field}", name.replace("_", " ")) for role in yaml.safe_load(text))
