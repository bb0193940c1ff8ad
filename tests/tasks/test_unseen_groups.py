"""Groups that nobody named: planted ones are found, data without groups are left in peace."""

import csv
import datetime
import random

import numpy as np
import pytest

from whichway.app.data_report import group_lines
from whichway.app.load_task import load_task
from whichway.nouns import Example
from whichway.tasks import Spec
from whichway.tasks.unseen_groups import correlation, unseen_group_lines, unseen_groups

LABELS = ("billing", "delivery", "login", "refund", "other")
SYLLABLES = [c + v for c in "bdfgklmnprst" for v in "aeiou"]


def vocabulary(rng, count):
    return ["".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4))) for _ in range(count)]


class World:
    """Messages of five labels in two languages, with their own topic words, and columns that are no groups."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.words = {lang: vocabulary(self.rng, 300) for lang in ("en", "de", "fr")}
        self.topics = {label: vocabulary(self.rng, 30) for label in LABELS}
        self.parts = {f"{label} {n}": vocabulary(self.rng, 8) for label in LABELS for n in range(3)}

    def row(self, own=(), share=0.0, label=None, lang=None):
        rng = self.rng
        lang, label = lang or rng.choice(["en", "en", "en", "de", "fr"]), label or rng.choice(LABELS)
        part = f"{label} {rng.randrange(3)}"
        text = []
        for _ in range(rng.randint(8, 30)):
            kind = rng.random()
            pool = self.topics[label] if kind < 0.1 else self.parts[part] if kind < 0.2 else self.words[lang]
            text.append(rng.choice(own) if own and rng.random() < share else pool[int(len(pool) * rng.random() ** 2)])
        day = datetime.date(2026, 1, 1) + datetime.timedelta(rng.randrange(60))
        fields = {
            "text": " ".join(text), "label": label, "language": lang, "area": part, "opened": day.isoformat(),
            "amount": f"{rng.expovariate(0.01):.2f}", "years": str(20 + 8 * LABELS.index(label) + rng.randrange(12)),
            "agent": f"a{rng.randrange(40)}", "office_id": str(rng.randrange(60)),
        }  # fmt: skip
        return Example({"text": fields["text"]}, label), fields

    def ungrouped(self, n, by_label=False):
        rows = [self.row() for _ in range(n)]
        return sorted(rows, key=lambda row: row[0].target) if by_label else rows

    def grouped(self, groups, size, shuffled=True, share=0.45):
        rows = []
        for g in range(groups):
            own, usual, lang = vocabulary(self.rng, 8), self.rng.choice(LABELS), self.rng.choice(("en", "de"))
            for _ in range(max(1, self.rng.randint(size // 2, size * 3 // 2))):
                label = usual if self.rng.random() < 0.6 else None
                example, fields = self.row(own, share, label, lang)
                rows.append((example, {**fields, "sender": f"s{g}@x.org"}))
        if shuffled:
            self.rng.shuffle(rows)
        return rows

    def series(self, families, others, shuffled=True):
        """Rows that follow each other's wording: a ticket, and its reminders."""
        rows = []
        for _ in range(families):
            example, fields = self.row()
            words = example.text.split()
            for _ in range(self.rng.randint(3, 8)):
                text = " ".join(w if self.rng.random() < 0.85 else self.rng.choice(self.words["en"]) for w in words)
                rows.append((Example({"text": text}, example.target), {**fields, "text": text}))
        rows += self.ungrouped(others)
        if shuffled:
            self.rng.shuffle(rows)
        return rows


def seen(rows, labelled=True):
    examples, fields = [e for e, _ in rows], [f for _, f in rows]
    return unseen_groups(examples, fields, [name for name in fields[0] if name not in ("text", "label")], labelled)


def columns(rows, labelled=True):
    return [group.column for group in seen(rows, labelled)]


def test_a_planted_column_is_found_in_nine_of_ten():
    found = [columns(World(s).grouped(groups, size)) for s in range(10) for groups, size in ((15, 20), (60, 5))]
    assert sum(names[:1] == ["sender"] for names in found) >= 18
    assert sum(len(names) > 1 for names in found) <= 1


def test_a_planted_column_is_found_without_labels():
    found = [columns(World(s).grouped(40, 8), labelled=False) for s in range(10)]
    assert sum(names[:1] == ["sender"] for names in found) >= 9


def test_data_without_groups_raise_no_alarm():
    found = [seen(World(s).ungrouped(n, by_label)) for s in range(10) for n, by_label in ((150, False), (400, True))]
    assert sum(bool(groups) for groups in found) <= 1
    assert sum(bool(seen(World(100 + s).ungrouped(300), labelled=False)) for s in range(10)) <= 1


def test_runs_in_the_file_are_found():
    found = []
    for s in range(10):
        rows = World(s).grouped(40, 8, shuffled=False, share=0.5)
        found.append(seen([(e, {k: v for k, v in f.items() if k != "sender"}) for e, f in rows]))
    assert sum(bool(g) and g[0].where == "order" for g in found) >= 9


def test_families_are_found_anywhere():
    found = [seen([(e, {"text": e.text}) for e, _ in World(s).series(30, 150)]) for s in range(10)]
    assert sum(bool(g) and g[0].where == "words" for g in found) >= 9


def test_what_naming_would_change_grows_with_the_groups():
    small, large = (seen(World(1).grouped(groups, size))[0].wider for groups, size in ((75, 4), (15, 20)))
    assert 1.0 <= small < large < 4.5
    assert large > 1.2


def test_the_correlation_is_that_of_groups():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(400), 5)
    values = 0.6 * rng.normal(size=400)[codes] + 0.8 * rng.normal(size=2000)
    assert correlation(values, codes) == pytest.approx(0.36, abs=0.05)
    assert correlation(rng.normal(size=2000), codes) < 0.05
    assert correlation(np.repeat(np.arange(3.0), 4), np.repeat(np.arange(3), 4)) == 1.0


def test_a_long_file_is_sampled():
    rows = World(3).grouped(2000, 6)
    counted = []
    examples = [e for e, _ in rows]
    fields = [f for _, f in rows]

    class Counted(Example):
        __slots__ = ()

        @property
        def text(self):
            counted.append(1)
            return super().text

    slow = [Counted(e.input, e.target) for e in examples]
    assert unseen_groups(slow, fields, ["sender"], True)[0].column == "sender"
    assert len(counted) < 2000


def test_check_says_it(tmp_path):
    path = tmp_path / "tickets.csv"

    def lines(rows, names, **said):
        with path.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(fields for _, fields in rows)
        return list(group_lines(load_task(Spec(data=path, input="text", target="label", **said))))

    rows = World(5).grouped(30, 10)
    (line,) = lines(rows, ["text", "label", "sender", "opened"])
    assert line.startswith("groups    column 'sender' behaves like a group: 30 values in")
    assert "--group sender" in line
    assert lines(rows, ["text", "label", "sender", "opened"], group="sender") == []
    nothing = "groups    no column and no run of rows behaves like a group"
    assert lines(World(6).ungrouped(200), ["text", "label", "opened", "agent"]) == [nothing]


def test_the_sentence_says_when_the_width_is_a_bound():
    rows = World(2).grouped(40, 8)
    (line, *_) = unseen_group_lines(seen(rows, labelled=False))
    assert "up to about" in line
    assert "same label" not in line
