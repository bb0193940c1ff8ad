"""What a model is asked that writes new rows, and what is read off its answers.

Each question shows rows of one label and asks for new ones of a drawn length, manner and subject: attributed prompts
gave more varied rows, and better students, than the label alone (Yu et al. 2023, arXiv 2306.15895). The subjects are
words of the label's own rows. Pure: the caller asks the model.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from whichway.nouns import Candidate, Decoding, Example, Prompt, TrainDevView, Weights

ROLE = "You write realistic inputs from which a classifier learns. Write the inputs only, without comments."
MANNERS = (
    "plain", "short and informal", "polite", "with more detail than usual", "in a hurry", "phrased as a question",
    "in unusual words", "matter of fact",
)  # fmt: skip
LONGEST = 300  # characters of a row that is shown
CHARACTERS_PER_TOKEN = 3.0
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.):])\s*")
_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the writer: the label that its rows are to have, and the row that asks."""

    label: str
    row: Example


def writer(task: TrainDevView, base: Weights, temperature: float, count: int) -> Candidate:
    """The model as a writer of `count` rows an answer."""
    lengths = sorted(len(e.text) for e in task.train)
    usual = lengths[int(0.9 * (len(lengths) - 1))]
    tokens = math.ceil(count * (usual / CHARACTERS_PER_TOKEN + 8))
    return Candidate(Prompt(objective=ROLE), base, Decoding("generate", tokens, temperature), note="writes rows")


def questions(task: TrainDevView, per_label: int, per_call: int, shown: int) -> list[Question]:
    """The questions for so many rows of each label, label after label in turn, so that a budget cuts all alike."""
    rng = random.Random(f"write/{task.name}")
    by_label = {label: [e for e in task.train if e.target == label] for label in task.labels}
    rounds = math.ceil(per_label / per_call)
    return [
        _question(task, label, rows, (per_call, shown), rng)
        for _ in range(rounds)
        for label, rows in by_label.items()
        if rows
    ]


def _question(
    task: TrainDevView, label: str, rows: Sequence[Example], counts: tuple[int, int], rng: random.Random
) -> Question:
    count, most = counts
    examples = rng.sample(rows, min(most, len(rows)))
    model = rng.choice(rows)
    words = _WORD.findall(model.text)
    subject = rng.choice(words) if words else ""
    length = max(1, len(model.text.split()))
    fields = tuple(model.input)
    one_line = len(fields) == 1
    form = "one on each line" if one_line else f"each a JSON object with the keys {', '.join(fields)} on one line"
    lines = [
        task.ask,
        f"Possible answers: {', '.join(task.labels)}.",
        f'Inputs whose answer is "{label}":',
        *(f"- {_shown(example)}" for example in examples),
        f'Write {count} new inputs whose answer is "{label}", {form}: about {length} words long, {rng.choice(MANNERS)}'
        + (f', around the subject "{subject}" or one near it' if subject else "")
        + ". They must differ from those above and from each other.",
    ]
    expected = "\n".join(_shuffled(rng.choice(rows), rng) for _ in range(count))  # an estimate takes it for the answer
    return Question(label, Example({"text": "\n".join(line for line in lines if line)}, expected))


def _shown(example: Example) -> str:
    text = example.text if len(example.input) == 1 else json.dumps(dict(example.input), ensure_ascii=False)
    return " ".join(text.split())[:LONGEST]


def _shuffled(example: Example, rng: random.Random) -> str:
    cells = {name: " ".join(rng.sample(words := value.split(), len(words))) for name, value in example.input.items()}
    return _shown(Example(cells, ""))


def rows_of(text: str, finish: str, task: TrainDevView) -> list[dict[str, str]]:
    """The rows in a writer's answer, as fields by name; lines that are no rows are passed over.

    Args:
        text: the answer, a row on each line.
        finish: why the writer stopped; after "length" the last line is cut short and does not count.
        task: whose rows they are to be.
    """
    lines = text.splitlines()
    fields = tuple(task.train[0].input)
    lengths = sorted(len(e.text) for e in task.train)
    shortest, longest = lengths[0] // 2, 2 * lengths[-1] + 20
    rows = []
    for line in lines[: len(lines) - (finish == "length")]:
        cells = _cells(_BULLET.sub("", line).strip(), fields)
        size = len(Example(cells, "").text) if cells else 0
        if cells and shortest <= size <= longest:
            rows.append(cells)
    return rows


def _cells(line: str, fields: Sequence[str]) -> dict[str, str]:
    """The fields of a line; none where it is no row."""
    if len(fields) == 1:
        bare = line[1:-1].strip() if len(line) > 1 and line[0] in "\"“'" and line[-1] in "\"”'" else line
        return {} if not re.search(r"\w", bare) or bare.endswith(":") else {fields[0]: bare}
    try:
        data = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(data, dict) or not all(isinstance(data.get(name), str | int | float) for name in fields):
        return {}
    return {name: str(data[name]) for name in fields}


def plain(text: str) -> str:
    """The form in which rows of a writer are the same."""
    return " ".join(re.findall(r"\w+", text.casefold()))
