"""A small world for lint: rows, a metric, providers, and drafts from text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from whichway.lint import Data, Draft, Provider, Scene
from whichway.lint.drafts import of_messages, of_text
from whichway.nouns import Example, MetricSpec, Prompt, Task
from whichway.tasks import metrics
from whichway.tasks.contamination import HeldOutRows

LABELS = ("billing", "delivery", "account access")
ROWS = [
    ("I was charged twice for the same order last week", "billing"),
    ("my parcel has been stuck in the depot since Monday", "delivery"),
    ("the login page says that my password is wrong", "account access"),
    ("please send the invoice for order 482913 to Marguerite", "billing"),
    ("the courier left the box in the rain and it is soaked", "delivery"),
    ("I cannot reset my pin because the mail never comes", "account access"),
]
DEV = [("where is the voucher that you promised me in your last letter", "billing")]
TEST = [("the bicycle that I ordered in spring has still not arrived here", "delivery")]


def task(
    labels: tuple[str, ...] = LABELS,
    metric: str = "accuracy",
    rows: list[tuple[str, str]] = ROWS,
    ask: str = "Which team should handle this message?",
) -> Task:
    """A task of a few rows."""

    def examples(pairs: list[tuple[str, str]]) -> tuple[Example, ...]:
        return tuple(Example({"text": text}, target) for text, target in pairs)

    options: dict[str, Any] = {"labels": list(labels)} if labels and "labels" in metrics.options(metric) else {}
    return Task("small", ask, examples(rows), examples(DEV), examples(TEST), MetricSpec(metric, options), labels)


def data(**how: Any) -> Data:
    """What lint may know of it."""
    made = task(**how)
    return Data(made.train_dev_view(), metrics.load(made.metric), HeldOutRows(made))


def open_data(metric: str, target: str = "a word", text: str = "what is it about", count: int = 12) -> Data:
    """Rows with open answers."""
    return data(labels=(), metric=metric, rows=[(f"{text} {n}", target) for n in range(count)])


def draft(source: str | Prompt | list[dict[str, str]], **settings: Any) -> Draft:
    """From plain text, slots or chat messages."""
    if isinstance(source, Prompt):
        return Draft(source, json.dumps(source.objective), "prompt.yaml", "slots", settings=settings)
    if isinstance(source, list):
        return of_messages(json.dumps({"messages": source, **settings}, indent=1), "prompt.json")
    made = of_text(source, "prompt.txt")
    return Draft(made.prompt, made.source, made.path, made.form, settings=settings)


def scene(source: Any, known: Data | None = None, model: Provider | None = None, **more: Any) -> Scene:
    """A scene."""
    settings = more.pop("settings", {})
    fields = more.pop("fields", None)
    made = draft(source, **settings)
    if fields is not None:
        made = Draft(made.prompt, made.source, made.path, made.form, made.turns, made.settings, fields)
    return Scene(made, known, model, **more)


Maker = Callable[[], Scene]
