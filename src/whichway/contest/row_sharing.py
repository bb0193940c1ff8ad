"""A row is read once: while a contest lasts, its backends keep what they computed of rows, in the contest's cache.

List prices know nothing of it: what another way has read is charged like a row read anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from whichway.contest.cache import TRAININGS
from whichway.contest.ledger import RunLedger
from whichway.contracts import ReadsOnce
from whichway.nouns import Message, Task, split_name
from whichway.prompts.plain import base_prompt
from whichway.prompts.template import messages
from whichway.tasks.folds import practice


@contextmanager
def rows_read_once(task: Task, ledger: RunLedger) -> Iterator[None]:
    """Let backends that can keep what rows computed do so."""
    folder = ledger.cache.folder
    names = {base.backend for base in ledger.components.bases}
    keepers = [b for name in sorted(names) if isinstance(b := ledger.components.backends[name], ReadsOnce)]
    try:
        if folder is not None:
            for backend in keepers:
                backend.keep(folder / TRAININGS, _heads(task, ledger), _trains_top(ledger))
        yield
    finally:
        for backend in keepers:
            backend.keep(None)


def _trains_top(ledger: RunLedger) -> bool:
    """Whether a way trains some of the layers alone: those say how many with one of these options."""
    ways = (ledger.components.ways[split_name(name)[0]] for name in ledger.settings.ways)
    return any(option.name in ("layers", "share") for way in ways for option in fields(way.Options))


def _heads(task: Task, ledger: RunLedger) -> frozenset[tuple[Message, ...]]:
    """What stands before a row where zero-shot and trainings share a rendering; nothing where nothing is trained."""
    ways = (ledger.components.ways[split_name(name)[0]] for name in ledger.settings.ways)
    if not any(way.KIND in ("fine-tune", "both") for way in ways):
        return frozenset()
    seen = practice(task, 0) if task.folds else task.train_dev_view()
    return frozenset({messages(base_prompt(seen), row)[:-1] for row in seen.train[:1]})
