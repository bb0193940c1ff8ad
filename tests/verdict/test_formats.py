"""The spread over the forms of a prompt, and what luck alone gives."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest

from whichway.nouns import Candidate, Decoding, Form, Prompt, Record, Shot, Weights
from whichway.verdict.format_sensitivity import spread_over_forms
from whichway.verdict.format_spread import formats


def test_equal_forms_differ_by_luck_alone() -> None:
    """Forms without an effect: the spread is what luck gives; a planted effect is found, in 400 drawn tables."""
    rng = np.random.default_rng(5)
    none, planted = [], []
    effect = np.array([-0.15, -0.05, 0.0, 0.05, 0.15])
    for _ in range(400):
        rows = rng.uniform(0.3, 0.7, 100)
        found = formats("w", "abcde", (rng.uniform(size=(5, 100)) < rows).astype(float))
        other = formats("w", "abcde", (rng.uniform(size=(5, 100)) < rows + effect[:, None]).astype(float))
        assert found is not None
        assert other is not None
        none.append(found.sd**2 - found.luck_sd**2)
        planted.append(other.sd**2 - other.luck_sd**2)
    assert np.mean(none) == pytest.approx(0.0, abs=2e-4)
    assert np.mean(planted) == pytest.approx(effect.var(ddof=1), abs=6e-4)


def test_the_ends_are_named() -> None:
    found = formats("w", ("plain", "RTF", "TAG"), np.array([[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]], dtype=float))
    assert found is not None
    assert (found.low, found.worst, found.high, found.best, found.rows) == (0.25, "TAG", 1.0, "RTF", 4)
    assert dict(found.scores) == {"plain": 0.5, "RTF": 1.0, "TAG": 0.25}
    assert formats("w", ("a", "b"), np.ones((2, 9))) is None
    assert formats("w", ("a", "b", "c"), np.ones((3, 0))) is None


def record(candidate: Candidate, example: str, score: float, split: str = "dev") -> Record:
    return Record(candidate.id, example, split, 0, "ok", score, "x", "", 1, 0, 1, 0.1, 0.0)  # type: ignore[arg-type]


def test_only_prompts_of_equal_words_on_shared_rows_are_compared() -> None:
    weights = Weights("fake", "fake")
    forms = [Form(), Form("RTF", headings="markdown"), Form("TAG", headings="markdown")]
    family = [Candidate(Prompt("Which?", form=form), weights, Decoding(), "w") for form in forms]
    other = Candidate(Prompt("Which?", shots=(Shot("x", "a"),)), weights, Decoding(), "w")
    found = {c.id: c for c in (*family, other)}
    records = [record(c, f"e{k}", float(k < n)) for n, c in enumerate(family) for k in range(4 + n)]
    records += [record(c, "t", 1.0, "test") for c in family] + [record(other, "e0", 1.0)]

    def of(ids: Collection[str]) -> list[Record]:
        return [r for r in records if r.candidate in ids]

    (told,) = spread_over_forms(["v", "w"], found, of)
    assert (told.way, told.forms, told.rows) == ("w", 3, 4)
    assert told.worst == "no framework, headings none"
    assert (told.best, told.low, told.high) == ("TAG, headings markdown", 0.0, 0.5)
    assert spread_over_forms(["w"], dict(list(found.items())[1:]), of) == ()
