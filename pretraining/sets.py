"""The evaluation sets that the embedded model is measured on, and what is asked about them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whichway.nouns import Example

ASKS = {
    "medical_titles": "Which field of medicine is this paper about?",
    "nlupp_domain": "Is this message about banking or about hotels?",
    "nlupp_topic": "What is the customer talking about?",
    "nlupp_need": "What does the customer need?",
    "trec6": "What kind of answer does the question ask for?",
    "restaurant_slots": "Extract the booking details as JSON. Keys: date, time, people, first_name, last_name.",
}
PHRASINGS = (
    "{ask}",
    "Classify the text.",
    "Choose the right label. {ask}",
    "{ask} Answer with the label only.",
    "You sort incoming messages. {ask}",
    "Read the text and pick the category that fits best.",
    "Which of these is it?",
    "Do your best: {ask}",
    "Task: {ask}\nGive one of the labels.",
    "Label the following text. Copy the label exactly.",
)
SHOTS = (1, 2, 4, 8, 16)
POOL = 200  # training rows that shots for each row are chosen from
LORA_ROWS = (50, 200, 1000)
DRAWS = {200: 3}  # times that so many training rows are drawn: on few rows much hangs on which; else once
TEST_ROWS, BALANCED_ROWS, DEV_ROWS = 400, 1500, 150


@dataclass(frozen=True)
class Set:
    """One evaluation set, split by a hash of its content."""

    name: str
    labels: tuple[str, ...]
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]


def draws(rows: int) -> list[str]:
    """The draws of so many training rows, as their cells are called."""
    return [f"{rows}, draw {n + 1}" if n else str(rows) for n in range(DRAWS.get(rows, 1))]


def read(path: Path, most: int | None) -> Set:
    """Read a set; `most`: restrict it to that many most frequent labels and balance its test rows."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    closed = path.stem != "restaurant_slots"
    frequent = [label for label, _ in Counter(r["target"] for r in rows).most_common(most)]
    labels = tuple(sorted(frequent)) if closed else ()
    seen: dict[str, Example] = {}
    for row in rows:
        if not closed or row["target"] in labels:
            seen.setdefault(row["input"], Example({"text": row["input"]}, row["target"]))
    order = sorted(seen.values(), key=lambda e: hashlib.sha256(e.text.encode()).hexdigest())
    test = _balanced(order, BALANCED_ROWS) if most and closed else order[:TEST_ROWS]
    taken = {e.id for e in test}
    rest = [e for e in order if e.id not in taken]
    return Set(path.stem, labels, tuple(rest[DEV_ROWS:]), tuple(rest[:DEV_ROWS]), tuple(test))


def _balanced(order: Sequence[Example], most: int) -> list[Example]:
    """As many of each label: a third of the rarest label's rows at most."""
    by_label: dict[str, list[Example]] = defaultdict(list)
    for e in order:
        by_label[e.target].append(e)
    each = min(most // len(by_label), min(len(rows) for rows in by_label.values()) // 3)
    return [e for rows in by_label.values() for e in rows[:each]]
