"""Conversations leave as a promptfoo configuration, whose templates give the very messages that were measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ship_kit import contest
from test_ship_rows import rows

from whichway.nouns import Message, Prompt, Shot
from whichway.prompts.template import messages
from whichway.runs.folder import read_rows
from whichway.ship import promptfoo_turns
from whichway.tasks.conversation_rows import conversation_row


class Listed(list[Any]):
    """A list as nunjucks sees it."""

    @property
    def length(self) -> int:
        return len(self)


def rendered(template: str, values: dict[str, Any]) -> list[dict[str, str]]:
    """What promptfoo makes of a prompt file that is no JSON: it is rendered twice, then read as messages."""
    env = jinja2.Environment(autoescape=False, keep_trailing_newline=True)
    env.filters["dump"] = lambda value: json.dumps(value, ensure_ascii=False)
    values = {name: Listed(value) if isinstance(value, list) else value for name, value in values.items()}
    once = env.from_string(template).render(values)
    read: list[dict[str, str]] = json.loads(env.from_string(once).render(values))
    return read


def row_line(*turns: tuple[str, str], **more: str) -> dict[str, Any]:
    """A row as the run folder has it."""
    talk = [{"role": role, "content": content} for role, content in turns]
    example = conversation_row({"messages": talk, **more}, ("input", *more), "here")
    line = {"input": dict(example.input), "text": example.text}
    own = [{"role": turn.role, "content": turn.content} for turn in example.turns]
    return {**line, **({"turns": own} if own else {})}


TALKS = (
    row_line(("user", "Hi")),
    row_line(("user", "Hi"), ("assistant", 'Say\n"it"'), ("user", "The {{lamp}} {% if %} broke")),
    row_line(("assistant", "Hello"), ("user", "Übel: \\n {# x #}")),
    row_line(("system", "Shop {{a}}"), ("user", "Hi"), ("assistant", "Yes?"), ("user", "No lamp")),
)
SHOTS = (Shot("lamp", "repairs"), Shot("late {{x}}", "delivery"))
PROMPTS = {
    "system": Prompt(objective="Sort.", labels=("repairs", "delivery")),
    "shots": Prompt(objective='Sort the "{{mail}}".', shots=SHOTS, reminder="Answer:"),
    "user": Prompt(objective="Sort {%all%}.", layout="user", shots=SHOTS),
    "nothing but the row": Prompt(),
    "user, no shots": Prompt(objective="Sort.", layout="user", reminder="Now."),
    "variables": Prompt(objective="Sort.", variables=("input",), row="Mail: {{input}} END"),
    "variables in the instructions": Prompt(objective="Sort: {{input}}", variables=("input",)),
    "turns of the author": Prompt(
        objective="Sort.", variables=("input",), row="{{input}}?", lead=(Message("user", "Ready for {{input}}?"),
                                                                       Message("assistant", "Yes {{b}}."))),
}  # fmt: skip


@pytest.mark.parametrize("name", PROMPTS)
def test_a_template_gives_the_messages_that_are_asked(name: str) -> None:
    prompt, columns = PROMPTS[name], promptfoo_turns.conversation_columns(TALKS)
    assert columns == {"input"}
    template = promptfoo_turns.prompt_file(prompt, "turns", columns)
    for row in TALKS:
        turns = tuple(Message(turn["role"], turn["content"]) for turn in row.get("turns", ()))
        talk = row.get("turns") or [{"role": "user", "content": row["text"]}]
        example = conversation_row({"messages": talk}, ("input",), "here")
        assert example.turns == turns
        asked = [{"role": m.role, "content": m.content} for m in messages(prompt, example)]
        assert rendered(template, {**row["input"], "turns": promptfoo_turns.turns_of(row)}) == asked


def test_a_variable_is_named_as_no_field_is() -> None:
    assert promptfoo_turns.variable(("turns", "_turns", "text")) == "__turns"


@pytest.mark.parametrize("kind", ["talk", "system"])
def test_a_run_of_conversations_is_exported(kind: str, tmp_path: Path) -> None:
    run = contest(rows(tmp_path, kind), "fake", "prompt_plain")
    out = run.ship(tmp_path / "pf", format="promptfoo", way="prompt_plain")
    written = yaml.safe_load((out / "promptfooconfig.yaml").read_text(encoding="utf-8"))
    assert written["defaultTest"]["options"]["disableVarExpansion"] is True
    test = [row for row in read_rows(run.path) if row["split"] == "test"]
    assert len(written["tests"]) == len(test) >= 4
    candidate = next(iter(run.candidates.values()))
    template = (out / "prompt.json").read_text(encoding="utf-8")
    for one, row in zip(written["tests"], test, strict=True):
        assert one["assert"] == [{"type": "equals", "value": row["target"]}]
        talk = row.get("turns") or [{"role": "user", "content": row["text"]}]
        example = conversation_row({"messages": talk}, tuple(row["input"]), "here")
        asked = [{"role": m.role, "content": m.content} for m in messages(candidate.prompt, example)]
        assert rendered(template, one["vars"]) == asked


def test_a_trained_winner_is_asked_by_the_turns_alone() -> None:
    for row in TALKS:
        turns = promptfoo_turns.turns_of(row)
        talk = row.get("turns") or [{"role": "user", "content": row["text"]}]
        assert rendered(promptfoo_turns.bare("turns"), {"turns": turns}) == talk
