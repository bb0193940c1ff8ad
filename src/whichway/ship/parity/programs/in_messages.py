"""The messages that an exported prompt makes of rows, by the form's own means; no model is asked."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from started import messages_of, module_in, run

Turns = list[dict[str, str]]
_ROLE = re.compile(r"^\s*#?\s*(system|user|assistant)\s*:\s*$", re.I | re.M)


def of_python(folder: Path, rows: list[Any]) -> list[Turns]:
    """By `winner.py`."""
    sys.path.insert(0, str(folder))
    turns: list[Turns] = [module_in(folder, "winner").messages(row) for row in rows]
    return turns


def of_jinja(folder: Path, rows: list[Any]) -> list[Turns]:
    """By `prompt.j2`, which gives JSON."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string((folder / "prompt.j2").read_text(encoding="utf-8"))
    return [json.loads(template.render(row=row, **_named(row))) for row in rows]


def _named(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name.isidentifier() and name != "row"}


def of_prompty(folder: Path, rows: list[Any]) -> list[Turns]:
    """By the asset: front matter cut off, rendered by Jinja2, cut at its roles."""
    from jinja2 import Environment, StrictUndefined

    _, _, body = (folder / "winner.prompty").read_text(encoding="utf-8").split("---\n", 2)
    pieces = _ROLE.split(body)[1:]
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    turns = [
        (role.lower(), environment.from_string(text)) for role, text in zip(pieces[::2], pieces[1::2], strict=True)
    ]
    return [[{"role": r, "content": t.render(row=row, **row).strip("\n")} for r, t in turns] for row in rows]


def of_yaml(folder: Path, rows: list[Any]) -> list[Turns]:
    """By `winner.prompt.yml`: `{{name}}` is the value of a field."""
    import yaml

    content = yaml.safe_load((folder / "winner.prompt.yml").read_text(encoding="utf-8"))

    def fill(text: str, row: dict[str, str]) -> str:
        return re.sub(r"\{\{\s*(.+?)\s*\}\}", lambda match: row[match[1]], text)

    return [[{**turn, "content": fill(turn["content"], row)} for turn in content["messages"]] for row in rows]


MEANS = {"python": of_python, "prompty": of_prompty, "prompt.yml": of_yaml}


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """The messages of the job's rows."""
    folder, form = Path(job["folder"]), str(job["form"])
    about = f"Python {sys.version.split()[0]}"
    if form in MEANS:
        messages = MEANS[form](folder, job["rows"])
        about += f", Jinja2 {version('jinja2')}" if form == "prompty" else ""
    else:
        messages = messages_of(folder, job["rows"])
        if (folder / "prompt.j2").is_file():
            about += f", Jinja2 {version('jinja2')}"
            if of_jinja(folder, job["rows"]) != messages:
                raise ValueError("prompt.j2 and messages.json make different messages")
    return {"messages": messages, "runtime": about}


if __name__ == "__main__":
    run(answer)
