"""The real sentence encoder on the example, on training and dev rows: slow, and only where it was fetched."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

import whichway
from whichway.app.configure import backends, encoder_of
from whichway.nouns import Decoding, Example, Message, Prompt, Request, TrainJob, TrainRow, Weights
from whichway.prompts.nearest import ShotRetriever, by_words, retriever_of
from whichway.prompts.shots import shot

pytestmark = pytest.mark.slow
TICKETS = Path(whichway.__file__).parent / "examples" / "support" / "tickets.csv"


@pytest.fixture
def minilm() -> Weights:
    found = encoder_of("default", backends())
    if found is None:
        pytest.skip("the default encoder was not fetched")
    return found


def rows(count: int) -> list[Example]:
    with TICKETS.open(encoding="utf-8", newline="") as file:
        return [Example({"text": row["text"]}, row["team"]) for row in csv.DictReader(file)][:count]


def test_the_nearest_rows_by_encoder_have_the_rows_label_far_oftener_than_by_words(minilm: Weights) -> None:
    every = rows(500)
    prompt = Prompt(pool=tuple(map(shot, every[:400])), nearest=10, encoder=minilm)
    retrieve: ShotRetriever = retriever_of(backends())
    retrieve.prepare(prompt, (row.text for row in every[400:]))

    def right(find: object) -> float:
        votes = [Counter(s.answer for s in find(row)).most_common(1)[0][0] == row.target for row in every[400:]]  # type: ignore[operator]
        return sum(votes) / len(votes)

    by_encoder = right(lambda row: retrieve(prompt, row.text))
    words = right(lambda row: by_words(Prompt(pool=prompt.pool, nearest=10), row.text))
    assert by_encoder > words + 0.1
    assert by_encoder > 0.4


@pytest.mark.parametrize(("kind", "options"), [("encoder", {}), ("encoder_full", {"epochs": 2, "checkpoints": 1})])
def test_it_learns_the_example(kind: str, options: dict[str, float], minilm: Weights, tmp_path: Path) -> None:
    every, door = rows(300), backends()["encoder"]
    labels = tuple(sorted({row.target for row in every}))
    trained = tuple(TrainRow((Message("user", row.text),), row.target) for row in every[:200])
    made = list(door.train(TrainJob(kind, minilm, trained, labels, 0, options), tmp_path, None))[-1]
    asked = [Request((Message("user", row.text),), Decoding(), labels) for row in every[200:]]
    with door.open(made.weights, tmp_path / str(made.weights.adapter)) as session:
        replies = session.choose(asked)
    right = [reply.text == row.target for reply, row in zip(replies, every[200:], strict=True)]
    assert sum(right) / len(right) > 0.5
