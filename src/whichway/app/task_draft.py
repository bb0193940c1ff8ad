"""A commented task file, with the columns found in the user's data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whichway.tasks.read import DataTable

TEXT = """\
# A task for whichway. Next: whichway check {path} && whichway run {path}
# Every key but `data` may be left out; the commented lines show the defaults or an example.

{name}
{ask}

{data}
{input}
{target}
# group: customer_id         # rows with the same value stay in one split
# id: ticket_id              # must be unique
# split: {{train: 0.6, dev: 0.15, test: 0.25}}   # or a column's name, or a file for each
# labels: [billing, delivery]   # default: found in the data; [] for free text

# metric: accuracy           # or file.py:function, or {metrics}
# model: smollm2             # see `whichway models`; or a model folder, a .gguf file, ollama:NAME, a hub name
# volume: 1000               # requests a day that the winner will serve
# margin: 0.01               # a difference below it does not matter (0.01 = one point)

# budget:                    # for each way; whichever ends first
#   seconds: 600
# ways:                      # default: see `whichway plan`
#   prompt_shots: {{}}
#   tune_lora: {{rank: 16}}
# checks:                    # no wanted answers? Say what a good one must fulfil, and leave target out
#   words: {{min: 40, max: 120}}   # also characters, sentences, must_contain, must_not_contain, regex, format, function
# judge: {{model: path/to/another/model, rubric: "Does it sound friendly?"}}   # decides with grades: whichway grade
# repeats: 5                 # answers to each test row where they are drawn (temperature above 0)
# curve: [8, 16, 32, 64]     # fit every way on so many training rows as well: how many labels is a prompt worth?
"""


def draft(data: Path | None, out: Path) -> str:
    """The text of the task file.

    Raises:
        DataError: the data file cannot be read.
    """
    from whichway.tasks.metrics import to_name
    from whichway.tasks.read import read

    table = read(data) if data else None
    inputs, target = columns(table) if table else (None, None)
    stem = data.stem if data else "tickets"
    return TEXT.format(
        path=out,
        metrics=", ".join(name for name in to_name() if name != "accuracy"),
        name=f"name: {_word(stem)}",
        ask=f"ask: {_word(_question(target))}   # what is asked of the model, in one line: say it better",
        data=f"data: {_word(str(_relative(data, out.parent)))}" if data else "data: tickets.csv",
        input=f"input: {_word(inputs)}" if inputs else f"# input: text{_choices(table)}",
        target=f"target: {_word(target)}" if target else f"# target: team{_choices(table)}",
    )


def columns(table: DataTable) -> tuple[str | list[str] | None, str | None]:
    """Input and target where their names are clear."""
    from whichway.errors import DataError
    from whichway.tasks.columns import find

    try:
        roles = find(table)
    except DataError:
        return None, None
    return (roles.input[0] if len(roles.input) == 1 else list(roles.input)), roles.target


def _question(target: str | None) -> str:
    return f"Which {target.replace('_', ' ')} fits?" if target else "Which team should handle this?"


def _choices(table: DataTable | None) -> str:
    return f"   # a column of: {', '.join(table.columns)}" if table else "   # a column of the data"


def _relative(data: Path, folder: Path) -> Path:
    """Paths in a task file are relative to it."""
    try:
        return data.absolute().relative_to(folder.absolute())
    except ValueError:
        return data.absolute()


def _word(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
