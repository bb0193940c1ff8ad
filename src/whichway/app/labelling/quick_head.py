"""A logistic head on vectors of rows that is fitted in a moment: for suggestions, and to see which rows it doubts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_STRENGTH = 10.0  # inverse strength of regularisation, for vectors of length 1
_STEPS, _TOLERANCE = 200, 1e-4  # at 1e-2 heads of doubted rows stop far from the optimum


@dataclass(frozen=True, slots=True)
class QuickHead:
    """A fitted head."""

    labels: tuple[str, ...]
    weight: Any  # (K, D)
    bias: Any  # (K,)

    def probabilities(self, vectors: Any) -> FloatArray:
        """Probabilities (n, K) of the labels for vectors (n, D)."""
        import numpy as np
        from scipy.special import softmax

        return np.asarray(softmax(vectors @ self.weight.T + self.bias, axis=1), dtype=float)


def fit_head(vectors: Any, answers: Sequence[str]) -> QuickHead | None:
    """A head for vectors (n, D), dense or sparse; None while there are fewer than two labels.

    Args:
        vectors: of length 1.
        answers: a label each.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    labels = sorted(set(answers))
    if len(labels) < 2:
        return None
    place = {label: k for k, label in enumerate(labels)}
    codes = np.array([place[answer] for answer in answers])
    with threadpool_limits(1):  # products this small are slower on several threads
        features, basis = (vectors, None) if isinstance(vectors, np.ndarray) else _in_row_space(vectors)
        model = LogisticRegression(C=_STRENGTH, max_iter=_STEPS, tol=_TOLERANCE).fit(features, codes)
    weight, bias = model.coef_, model.intercept_
    if basis is not None:
        weight = np.asarray((vectors.T @ (basis @ weight.T)).T)
    if len(labels) == 2:  # scikit-learn keeps one row for two labels
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return QuickHead(tuple(labels), weight, bias)


def _in_row_space(vectors: Any) -> tuple[Any, Any]:
    """Rows (n, W), W large, in the at most n directions that they span: (n, r), and these as sums of rows, (n, r).

    A regularised head lies in this space, so that the fit is the same and takes a hundredth of the time.
    """
    import numpy as np

    squares, axes = np.linalg.eigh(np.asarray((vectors @ vectors.T).todense(), dtype=float))
    own = squares > 1e-6
    lengths = np.sqrt(squares[own])
    return axes[:, own] * lengths, axes[:, own] / lengths
