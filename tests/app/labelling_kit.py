"""Rows to label, and a labelling of them, for the tests of `whichway label`."""

from __future__ import annotations

import csv

import numpy as np

from whichway.app.labelling.label_pool import PoolColumns, read_pool
from whichway.app.labelling.labelling_session import LabellingSession
from whichway.app.labelling.row_vectors import row_vectors

TEAMS = ("billing", "delivery", "account")
WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
NASTY = (
    "=cmd()|' /C calc'!A0", '"quoted", and\na second line', "مرحبا، أين طلبي؟", "<script>alert(1)</script>", "-2+3",
)  # fmt: skip


def texts(rows):
    rng = np.random.default_rng(5)
    for k in range(rows):
        yield f"{' '.join(rng.choice(WORDS, 6))} {TEAMS[k % 3]} {rng.choice(WORDS)} {k * 7919 % 1009}", TEAMS[k % 3]


def data(path, rows=90, extra=(), labelled=0):
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "text", *(["label"] if labelled else [])])
        for k, (text, label) in enumerate(texts(rows)):
            writer.writerow([k, text, *([label if k < labelled else ""] if labelled else [])])
        for k, text in enumerate(extra, rows):
            writer.writerow([k, text, *([""] if labelled else [])])
    return path


def session(path, out, **options):
    pool = read_pool(path, PoolColumns(), options.get("share", 1 / 3))
    vectors = row_vectors([row.text for row in pool.rows], "words")
    return LabellingSession(pool, vectors, out, annotator="ann", background=False, **options)


def oracle(text):
    return next((team for team in TEAMS if team in text), "odd")


def label(one, count):
    state = one.state()
    for _ in range(count):
        state = one.act("label", state.row.key, oracle(state.row.text))
    return state
