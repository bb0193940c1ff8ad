"""The prompt as a Python module that needs nothing but Python: `messages(row)`, and `ask(row)` of any chat endpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from whichway.ship.forms import Export
from whichway.ship.forms._prompt_files import write_prompt
from whichway.ship.forms._winners import chosen_shots, no_prompt
from whichway.ship.prompts import request_body, turns
from whichway.ship.source import ShipSource
from whichway.ship.written_files import write_file

NAME = "python"
SUMMARY = "the prompt as winner.py: messages(row) and ask(row), without dependencies"
RUNTIME = "messages"
FILE = "winner.py"
_FIXED = '''
MESSAGES = {messages}


def messages(row):
    """The chat messages for a row: its text, or its fields by name."""
    fields = row if isinstance(row, dict) else {{{first!r}: row}}
    text = "\\n".join(f"{{k}}: {{fields[k]}}" for k in {fields!r}) if {several} else str(fields[{first!r}])
    values = {{{mark!r}: text, **{{mark: str(fields[name]) for name, mark in {variables!r}.items()}}}}
    fill = re.compile("|".join(map(re.escape, values)))
    return [{{**m, "content": fill.sub(lambda match: values[match.group()], m["content"])}} for m in MESSAGES]
'''
_CHOSEN = '''
ROWS = RowMessages(Path(__file__).parent)


def messages(row):
    """The chat messages for a row: its text, its fields by name, or the messages of a conversation."""
    return [{"role": turn["role"], "content": turn["content"]} for turn in ROWS(row)]
'''
_ASK = '''

def ask(row, url={url!r}, model={model!r}, key=""):
    """The answer of a model behind OpenAI's chat protocol."""
    body = {{**OPTIONS, "model": model, "messages": messages(row)}}
    head = {{"Content-Type": "application/json", "Authorization": f"Bearer {{key}}"}}
    with urlopen(Request(url, json.dumps(body).encode(), head)) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]
'''
URL = "http://127.0.0.1:8000/v1/chat/completions"  # where `whichway serve` listens


def fits(source: ShipSource) -> str:
    """Prompts whose shots, where they are chosen for each row, are chosen without an encoder."""
    if source.asks and source.candidate.prompt.pool and source.candidate.prompt.encoder is not None:
        return "a sentence encoder chooses its worked examples, which plain Python cannot run"
    return no_prompt(source)


def write(export: Export, folder: Path) -> None:
    """Write the module, and beside it what a prompt needs whose messages depend on the row."""
    source = export.source
    if by_row(source):
        write_prompt(export, folder)
    write_file(folder / FILE, module(source))


def by_row(source: ShipSource) -> bool:
    """Whether more than the row's fields depends on the row."""
    return bool(chosen_shots(source)) or source.conversation


def module(source: ShipSource) -> str:
    """The text of the module."""
    from whichway.prompts.template import placeholder, placeholders

    candidate = source.candidate
    imports = "import json\n" + ("from pathlib import Path\n" if by_row(source) else "import re\n")
    imports += "from urllib.request import Request, urlopen\n"
    if by_row(source):
        body = "\nfrom row_messages import RowMessages\n" + _CHOSEN
    else:
        lines = [json.dumps({"role": t.role, "content": t.content}, ensure_ascii=False) for t in turns(candidate)]
        body = _FIXED.format(
            messages="[\n    " + ",\n    ".join(lines) + ",\n]",
            first=source.fields[0],
            fields=list(source.fields),
            several=len(source.fields) > 1,
            mark=placeholder(candidate.prompt),
            variables=placeholders(candidate.prompt),
        )
    request = {k: v for k, v in request_body(candidate, source.labels).items() if k not in ("model", "messages")}
    options = f"\nOPTIONS = {request!r}\n"
    head = f'"""The prompt of the task {json.dumps(str(source.plan["task"]))[1:-1]}. Needs nothing but Python."""\n\n'
    return head + imports + body.rstrip("\n") + "\n" + options + _ASK.format(url=URL, model="base")


def use(source: ShipSource) -> Sequence[str]:
    """How it is imported."""
    return (
        "```python",
        "from winner import ask, messages",
        "",
        'messages("...")  # the chat messages for a row',
        'ask("...", url="http://127.0.0.1:8000/v1/chat/completions", model="base")',
        "```",
    )
