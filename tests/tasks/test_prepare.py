"""Data preparation: personal data, copies, wrong labels, the chat file with its log, which reads as a task again."""

from __future__ import annotations

import json
import random

import pytest

from whichway.errors import UserError
from whichway.nouns import Example
from whichway.tasks import clean, examine, from_flags, pii
from whichway.tasks.clean import CleanOptions
from whichway.tasks.label_errors import label_errors
from whichway.tasks.load import Source, sources

WORDS = {
    "billing": ["invoice", "charge", "refund", "card", "payment", "bank", "fee", "receipt"],
    "delivery": ["parcel", "courier", "late", "tracking", "box", "address", "shipped", "driver"],
}
FILLER = ["please", "the", "my", "about", "with", "again", "today", "still", "really", "now", "maybe", "soon"]


def rows(count: int = 120, seed: int = 0) -> list[Example]:
    rng = random.Random(seed)
    found = []
    for n in range(count):
        label = sorted(WORDS)[n % 2]
        words = rng.sample(WORDS[label], 4) + rng.sample(FILLER, 5)
        rng.shuffle(words)
        found.append(Example({"text": " ".join(words)}, label, origin=f"rows.csv:{n + 2}"))
    return found


def turned(row: Example, origin: str) -> Example:
    """The row with the other label."""
    return Example(row.input, {"billing": "delivery", "delivery": "billing"}[row.target], origin=origin)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("e-mail", "write to jane.doe+x@mail.example.org, thanks"),
        ("card", "my card is 4111 1111 1111 1111."),
        ("card", "5500-0000-0000-0004"),
        ("IBAN", "to DE89 3704 0044 0532 0130 00 please"),
        ("IBAN", "GB82WEST12345698765432"),
        ("phone", "call +49 30 901820 at night"),
        ("phone", "(555) 010-9999"),
        ("phone", "0171-1234567"),
        ("API key", "sk-abcdefghijklmnop1234"),
        ("API key", "AKIAIOSFODNN7EXAMPLE"),
        ("API key", "-----BEGIN RSA PRIVATE KEY-----"),
    ],
)
def test_personal_data_is_found_and_masked(kind, text):
    hits = pii.find(text)
    assert [hit.kind for hit in hits] == [kind]
    masked, _ = pii.mask(text)
    assert pii.MASKS[kind] in masked
    assert hits[0].text not in masked
    assert hits[0].text not in hits[0].masked
    assert len(hits[0].masked) <= 4


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112",  # fails Luhn
        "0000 0000 0000 0000",
        "DE88 3704 0044 0532 0130 00",  # fails modulo 97
        "order no. 77-1203, Leipzig",
        "Ref LK-550917, 22.90",
        "version 3.11.2 of 2026-11-25",
        "at 10:30 we met 12 people",
        "the ratio is 0.4711 and 1,234,567",
    ],
)
def test_other_numbers_are_left_alone(text):
    assert pii.find(text) == []


def test_planted_wrong_labels_are_found_and_others_are_not_blamed():
    planted = {8, 31, 64}
    noisy = [turned(e, e.origin) if n in planted else e for n, e in enumerate(rows())]
    found = label_errors(noisy)
    assert {s.example.origin for s in found} == {f"rows.csv:{n + 2}" for n in planted}
    assert all(s.believed != s.example.target and s.probability > 0.6 > s.given_probability for s in found)
    assert label_errors(rows()) == []
    assert label_errors(rows(20)) == []


def test_suspects_by_given_features():
    examples = rows()
    features = [[float(e.target == "billing"), float(n % 7)] for n, e in enumerate(examples)]
    examples[5] = turned(examples[5], "x:1")
    assert [s.example.origin for s in label_errors(examples, features)] == ["x:1"]


def test_twins_exact_and_near():
    base = "the courier left my parcel in the rain again and nobody answers the phone"
    one = Example({"text": base}, "a", origin="f:2")
    same = Example({"text": base.upper() + "!"}, "a", origin="f:3")
    near = Example({"text": base + "s"}, "b", origin="f:4")
    found = clean.repeats([one, same, near])
    assert [(t.row.origin, t.first.origin, t.exact) for t in found] == [("f:3", "f:2", True), ("f:4", "f:2", False)]


def as_sources(examples):
    return [Source(e, None, e.target) for e in examples]


def test_nothing_is_changed_unless_it_is_asked_for():
    examples = [*rows(), Example({"text": "mail me at a@b.example"}, "billing", origin="rows.csv:200")]
    kept, changes = clean.clean(as_sources([*examples, examples[0]]), CleanOptions(), True)
    assert len(kept) == len(examples) + 1
    assert changes == []


def test_each_wish_does_its_part_and_tells_each_change():
    examples = [*rows(), Example({"text": "mail me at a@b.example about my invoice"}, "billing", origin="rows.csv:200")]
    examples.append(Example(examples[0].input, examples[0].target, origin="rows.csv:201"))
    examples.append(turned(examples[1], "rows.csv:202"))
    kept, changes = clean.clean(as_sources(examples), CleanOptions(drop_duplicates=True, mask_personal=True), True)
    assert [(c.change, c.what, c.where) for c in changes] == [
        ("masked", "e-mail", "rows.csv:200"),
        ("dropped", "exact duplicate", "rows.csv:201"),
    ]
    assert "a@b.example" not in json.dumps([c.why for c in changes] + [k.example.text for k in kept])
    assert len(kept) == len(examples) - 1  # the copy with another answer stays
    _, more = clean.clean(as_sources(examples), CleanOptions(drop_suspects=True), True)
    assert [c.where for c in more if c.what == "label suspect"] == ["rows.csv:202"]


def table(path, examples):
    lines = [json.dumps({"text": e.text, "label": e.target, "customer": f"c{n // 2}"}) for n, e in enumerate(examples)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_what_is_written_reads_as_the_same_task_again(tmp_path):
    source = table(tmp_path / "rows.jsonl", rows())
    spec = from_flags(data=source, ask="Which team?", group="customer")
    task = examine(spec).task
    kept, changes = clean.clean(sources(spec), CleanOptions(), True)
    files = clean.write(tmp_path / "clean.jsonl", task, kept, changes)
    assert [f.name for f in files] == ["clean.jsonl", "clean.changes.jsonl"]
    line = json.loads(files[0].read_text(encoding="utf-8").splitlines()[0])
    assert [m["role"] for m in line["messages"]] == ["system", "user", "assistant"]
    again = examine(from_flags(data=files[0], group="group")).task
    assert (again.ask, again.labels, again.metric) == (task.ask, task.labels, task.metric)
    old, new = ({(e.text, e.target, e.group) for e in (*t.train, *t.dev, *t.test)} for t in (task, again))
    assert new == old
    before = source.read_bytes()
    with pytest.raises(UserError, match="already"):
        clean.write(tmp_path / "clean.jsonl", task, kept, changes)
    assert source.read_bytes() == before


def test_given_splits_stay_as_they_are(tmp_path):
    (tmp_path / "data").mkdir()
    for name, seed in (("train", 0), ("valid", 1), ("test", 2)):
        table(tmp_path / "data" / f"{name}.jsonl", rows(40, seed))
    spec = from_flags(data=tmp_path / "data")
    task = examine(spec).task
    kept, _ = clean.clean(sources(spec), CleanOptions(), True)
    with pytest.raises(UserError, match="folder"):
        clean.write(tmp_path / "all.jsonl", task, kept, [])
    clean.write(tmp_path / "clean", task, kept, [])
    again = examine(from_flags(data=tmp_path / "clean")).task
    for side in ("train", "dev", "test"):
        assert {e.text for e in getattr(again, side)} == {e.text for e in getattr(task, side)}


def test_several_spellings_of_a_label_are_merged_and_told(tmp_path):
    examples = rows()
    examples[0] = Example(examples[0].input, examples[0].target.upper(), origin="x")
    spec = from_flags(data=table(tmp_path / "rows.jsonl", examples))
    _, changes = clean.clean(sources(spec), CleanOptions(), True)
    assert [(c.change, c.what, c.where) for c in changes] == [("merged", "label spelling", "rows.jsonl:1")]
