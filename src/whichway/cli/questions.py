"""Questions on a terminal about what flags and data do not tell."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

if TYPE_CHECKING:
    from whichway.verdict.advice import Situation

QUESTIONS = {
    "kind": "What is asked",
    "rows": "How many labelled rows have you",
    "volume": "How many requests a day",
    "latency_ms": "Within how many milliseconds must an answer come",
    "hardware": "What does the model run on",
    "privacy": "May the data leave this machine (any), or must it stay (local)",
    "maintainer": "Who looks after it",
    "changes": "How often does the task change",
}


def ask(about: Situation) -> Situation:
    """Ask on the terminal for what is not known; an empty answer leaves it so."""
    import click

    from whichway.verdict.advice import Situation

    hints = get_type_hints(Situation)
    for field in fields(about):
        if field.name not in QUESTIONS or getattr(about, field.name) is not None:
            continue
        answer = _answer(QUESTIONS[field.name], hints[field.name], click)
        if answer is not None:
            about = replace(about, **{field.name: answer})
    return about


def _answer(question: str, hint: Any, click: Any) -> Any:
    """One answer, of the field's type: one of its words, or a number."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    words = list(get_args(kinds[0]))
    choices = f" ({', '.join(words)})" if words else ""
    while True:
        text = str(click.prompt(f"{question}{choices}? [Enter: not known]", default="", show_default=False)).strip()
        if not text:
            return None
        if words:
            near = [word for word in words if word.startswith(text.lower())]
            if len(near) == 1:
                return near[0]
        else:
            try:
                return kinds[0](float(text.replace(",", "")))
            except ValueError:
                pass
        click.echo(f"  '{text}' is none of them." if words else f"  '{text}' is no number.")
