"""Rows whose label is probably wrong: a classifier that never saw them is sure of another one.

Probabilities come from cross-validation; `verdict/confident_learning.py` says which rows are then suspects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whichway.nouns import Example
from whichway.verdict.confident_learning import suspects

FOLDS = 5
SURE = 0.6
LEAST_ROWS = 40


@dataclass(frozen=True, slots=True)
class LabelError:
    """A row that a cross-validated classifier is sure is labelled wrongly."""

    example: Example
    believed: str
    probability: float  # of the believed label
    given_probability: float


def label_errors(examples: Sequence[Example], features: Any = None) -> list[LabelError]:
    """Suspects, the surest first.

    Args:
        examples: rows with labels.
        features: [rows, features]; None for words and character n-grams (TF-IDF).

    Returns:
        Nothing where there are too few rows, or fewer than two labels with `FOLDS` rows each; rows of rarer labels
        are not judged.
    """
    counts: dict[str, int] = {}
    for example in examples:
        counts[example.target] = counts.get(example.target, 0) + 1
    judged = [i for i, example in enumerate(examples) if counts[example.target] >= FOLDS]
    labels = sorted({examples[i].target for i in judged})
    if len(judged) < LEAST_ROWS or len(labels) < 2:
        return []
    code = {label: k for k, label in enumerate(labels)}
    codes = np.array([code[examples[i].target] for i in judged])
    matrix = _words([examples[i].text for i in judged]) if features is None else np.asarray(features)[judged]
    chance = _cross_validated(matrix, codes, features is not None)
    errors = [
        LabelError(examples[judged[row]], labels[k], float(chance[row, k]), float(chance[row, codes[row]]))
        for row, k in suspects(chance, codes, SURE)
    ]
    return sorted(errors, key=lambda s: (-s.probability, s.example.origin))


def _words(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, max_features=20_000)
    return make_union(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), characters).fit_transform(texts).tocsr()


def _cross_validated(matrix: Any, codes: np.ndarray[Any, Any], dense: bool) -> np.ndarray[Any, Any]:
    """Probabilities [rows, labels] from models that did not see the row."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    strength = min(1.0, 30 / matrix.shape[1]) if dense else 10.0  # hidden states are many, and all of one size
    model: Any = LogisticRegression(C=strength, max_iter=300, tol=1e-3)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with threadpool_limits(1):
        probabilities = cross_val_predict(
            make_pipeline(StandardScaler(), model) if dense else model, matrix, codes, cv=folds, method="predict_proba"
        )
    return np.asarray(probabilities)
