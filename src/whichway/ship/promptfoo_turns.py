"""The prompt of a run whose rows are conversations, as a template that promptfoo fills with a test's turns.

promptfoo's own form for that (its page on chat conversations): the test's variable holds the messages as a list, and
the prompt file writes them with the filter `dump`. A file that is no JSON before it is filled is rendered by nunjucks
twice, the second time with the rows' texts in it. Words that nunjucks would read are therefore fenced twice in the
prompt, and once in a test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from whichway.nouns import Message, Prompt, transcript
from whichway.prompts.template import outline, placeholder, placeholders

TURNS = "turns"  # the variable that holds a test's messages; another name where a field is called so
_LAST = "{turns}[{turns}.length - 1].content"
_OPEN, _CLOSE = '{{ "{% raw %}" }}{% raw %}', '{% endraw %}{{ "{% endraw %}" }}'


def variable(fields: Sequence[str]) -> str:
    """The name of the variable that holds the turns: none of the row's fields."""
    name = TURNS
    while name in fields:
        name = f"_{name}"
    return name


def turns_of(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """The turns of a row of the run folder, fenced once; one message where it is a single text."""
    turns = row.get("turns") or [{"role": "user", "content": row["text"]}]
    return [{"role": str(turn["role"]), "content": fenced(str(turn["content"]))} for turn in turns]


def fenced(text: str) -> str:
    """A text that nunjucks leaves as it is."""
    return f"{{% raw %}}{text}{{% endraw %}}" if re.search(r"\{[{%#]", text) else text


def bare(turns: str) -> str:
    """The prompt of a model that is asked by the row's own messages alone."""
    return f"{{{{ {turns} | dump }}}}\n"


def conversation_columns(rows: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Fields that hold the transcript of the row's conversation; a prompt's variable stands for its last message."""
    names = set()
    for row in rows:
        turns = [Message(turn["role"], turn["content"]) for turn in row.get("turns") or ()]
        whole = {transcript(turns), transcript(turns[1:])} if turns else set()
        names |= {name for name, value in row["input"].items() if value in whole}
    return frozenset(names)


def prompt_file(prompt: Prompt, turns: str, columns: frozenset[str]) -> str:
    """The prompt's messages, with a test's own system message, earlier turns and last message in their places.

    Args:
        prompt: the slots.
        turns: the name of the variable.
        columns: fields that are conversations, see `conversation_columns`.
    """
    last = "{{ " + _LAST.format(turns=turns) + " }}"
    if prompt.variables:
        marks = {mark: last if name in columns else f"{{{{ {name} }}}}" for name, mark in placeholders(prompt).items()}
    else:
        marks = {placeholder(prompt): last}
    shown = outline(prompt)
    own = f'{turns}[0].role == "system"'
    more = f"{{% if {own} %}}\n\n{{{{ {turns}[0].content }}}}{{% endif %}}"
    lines: list[str] = []
    if shown[0].role == "system":
        lines += _message(shown[0], marks, "system", more)
    else:
        content = f"{turns}[0].content | dump"
        lines.append(f'{{% if {own} %}}{{"role": "system", "content": {{{{ {content} }}}}}},{{% endif %}}')
    for place, turn in enumerate(shown[1 if shown[0].role == "system" else 0 : -1]):
        lines += _message(turn, marks, f"message{place}")
    lines.append(f'{{% for turn in {turns} %}}{{% if not loop.last and turn.role != "system" %}}')
    lines.append('{"role": {{ turn.role | dump }}, "content": {{ turn.content | dump }}},{% endif %}{% endfor %}')
    lines += _message(shown[-1], marks, "last")
    return "[\n" + "\n".join(lines).rstrip(",") + "\n]\n"


def _message(turn: Message, marks: Mapping[str, str], name: str, more: str = "") -> list[str]:
    """A message as JSON; one that holds a variable is put together first, as `dump` writes it whole."""
    parts = re.split("(" + "|".join(map(re.escape, marks)) + ")", turn.content)
    if len(parts) == 1 and not more:
        text = json.dumps(turn.content, ensure_ascii=False)
        return [f'{{"role": "{turn.role}", "content": {_fenced_twice(text)}}},']
    content = "".join(marks[part] if part in marks else _fenced_twice(part) for part in parts)
    return [
        f"{{% set whichway_{name} %}}{content}{more}{{% endset %}}",
        f'{{"role": "{turn.role}", "content": {{{{ whichway_{name} | dump }}}}}},',
    ]


def _fenced_twice(text: str) -> str:
    """A text that two renderings leave as it is."""
    return f"{_OPEN}{text}{_CLOSE}" if re.search(r"\{[{%#]", text) else text
