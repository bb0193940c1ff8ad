"""A run's winner and its test rows as a promptfoo configuration, answered by `whichway serve`.

Words of the prompt that nunjucks would read (`{{`, `{%`) are fenced with `{% raw %}`; the row enters by variables named
as its fields, a conversation by one that holds its turns (`promptfoo_turns`). Where labels or texts are compared, the
asserts are promptfoo's `equals`; other metrics are called by a small Python file, so that the ruler is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from whichway.nouns import MetricSpec, Prompt
from whichway.prompts.template import outline, placeholder, placeholders
from whichway.ship import promptfoo_turns
from whichway.ship.promptfoo_turns import fenced
from whichway.ship.prompts import request_body
from whichway.ship.source import ShipSource

CONFIG = "promptfooconfig.yaml"
ADDRESS = "http://127.0.0.1:8000/v1"  # where `whichway serve` listens
_EQUAL = ("accuracy", "exact_match")  # besides all metrics of closed labels
_ASSERT = """\"\"\"Judges an answer by whichway's own metric; promptfoo calls get_assert.\"\"\"

import json

from whichway.nouns import Example, MetricSpec
from whichway.tasks import metrics

METRIC = metrics.load(MetricSpec(**json.loads({spec!r})))


def get_assert(output, context):
    row = {{name: value for name, value in context["vars"].items() if isinstance(value, str)}}
    target = row.pop("expected")
    score = METRIC(Example(row, target), output)
    value = score.value or 0.0
    return {{"pass": value >= 0.5, "score": value, "reason": score.why or f"{{value:.3f}}"}}
"""


def contents(source: ShipSource, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """File name -> text."""
    import yaml

    spec = MetricSpec(**source.plan["metric"])
    test = [row for row in rows if row["split"] == "test"]
    default, extra = _default(spec)
    turns = promptfoo_turns.variable(source.fields) if source.conversation else ""
    if turns:  # a list is one value, not several tests
        default = {**default, "options": {**default.get("options", {}), "disableVarExpansion": True}}
    config = {
        "description": str(source.plan["ask"]),
        "prompts": ["file://prompt.json"],
        "providers": [_provider(source)],
        **({"defaultTest": default} if default else {}),
        "tests": [_test(row, spec, turns) for row in test],
    }
    head = "# Written by whichway ship. First: whichway serve " + str(source.run) + "\n"
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100)
    prompt = _prompt_of_turns(source, turns, test) if turns else _prompt(source)
    return {CONFIG: head + text, "prompt.json": prompt, **extra}


def _prompt_of_turns(source: ShipSource, turns: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The prompt of rows that are conversations."""
    if not source.asks_base:
        return promptfoo_turns.bare(turns)
    columns = promptfoo_turns.conversation_columns(rows)
    return promptfoo_turns.prompt_file(source.candidate.prompt, turns, columns)


def _prompt(source: ShipSource) -> str:
    """The chat messages with variables for the row; what the base alone cannot answer takes the row at its own id."""
    prompt, mark = source.candidate.prompt, placeholder(source.candidate.prompt)
    turns = [(turn.role, turn.content) for turn in outline(prompt)] if source.asks_base else [("user", mark)]
    fields = source.fields
    if prompt.variables and source.asks_base:
        return json.dumps([_named(prompt, role, text) for role, text in turns], indent=2, ensure_ascii=False) + "\n"
    row = f"{{{{{fields[0]}}}}}" if len(fields) == 1 else "\n".join(f"{name}: {{{{{name}}}}}" for name in fields)
    turn_list = [{"role": role, "content": row.join(fenced(part) for part in text.split(mark))} for role, text in turns]
    return json.dumps(turn_list, indent=2, ensure_ascii=False) + "\n"


def _named(prompt: Prompt, role: str, text: str) -> dict[str, str]:
    """A message in which promptfoo fills in the variables."""
    names = {mark: name for name, mark in placeholders(prompt).items()}
    parts = re.split("(" + "|".join(map(re.escape, names)) + ")", text)
    return {
        "role": role,
        "content": "".join(f"{{{{{names[part]}}}}}" if part in names else fenced(part) for part in parts),
    }


def _provider(source: ShipSource) -> dict[str, Any]:
    candidate = source.candidate
    model = "base" if source.asks_base else candidate.id
    body = {k: v for k, v in request_body(candidate, source.labels).items() if k not in ("model", "messages")}
    passed = {key: value for key, value in body.items() if key in ("structured_outputs", "choice_bias")}
    config: dict[str, Any] = {"apiBaseUrl": ADDRESS, "apiKey": "none"}
    if source.asks_base:
        config |= {key: value for key, value in body.items() if key not in passed}
        config |= {"passthrough": passed} if passed else {}
    return {"id": f"openai:chat:{model}", "label": f"{candidate.way} ({candidate.id})", "config": config}


def _default(spec: MetricSpec) -> tuple[dict[str, Any], dict[str, str]]:
    """What holds for every test, and the file that it needs."""
    if _compares(spec):
        return {"options": {"transform": "output.trim()"}}, {}
    if spec.name == "assertions":
        return {}, {}
    judge = _ASSERT.format(spec=json.dumps({"name": spec.name, "options": spec.options}, sort_keys=True))
    return {"assert": [{"type": "python", "value": "file://judge.py"}]}, {"judge.py": judge}


def _compares(spec: MetricSpec) -> bool:
    """Whether an answer is right that equals the target."""
    return spec.name in _EQUAL or "labels" in spec.options


def _test(row: Mapping[str, Any], spec: MetricSpec, turns: str) -> dict[str, Any]:
    """One row; its target stands among the vars where a Python file judges, a conversation under the name `turns`."""
    values = {**row["input"], **({turns: promptfoo_turns.turns_of(row)} if turns else {})}
    if _compares(spec):
        return {"vars": values, "assert": [{"type": "equals", "value": row["target"]}]}
    if spec.name == "assertions":
        return {"vars": values, "assert": [_back(one) for one in json.loads(row["target"])]}
    return {"vars": {**values, "expected": row["target"]}}


def _back(one: Mapping[str, Any]) -> dict[str, Any]:
    """An assert as promptfoo writes it."""
    assertion = {key: value for key, value in one.items() if key != "digest"}
    if str(one["type"]).endswith("python"):
        assertion["value"] = f"file://{one['value']}"
    return assertion
