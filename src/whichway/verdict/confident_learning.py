"""Which rows are surely of another label than their own, from probabilities by models that did not see them.

Confident learning (Northcutt, Jiang & Chuang 2021, arXiv 1911.00068): a row is a suspect of label k when k is its
likeliest label, is not the given one, and is at least as likely as it is on average on rows that are labelled k. We ask
more: k must also have at least `least`, as a list is read only while it is right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def suspects(chance: Array, codes: Array, least: float) -> list[tuple[int, int]]:
    """(row, believed label) of each suspect.

    Args:
        chance: (n, L) probability of each label, from models that did not see the row.
        codes: (n,) the label that the row has; every label has at least one row.
        least: probability that the believed label must have.
    """
    usual = np.array([chance[codes == k, k].mean() for k in range(chance.shape[1])])
    believed = chance.argmax(axis=1)
    top = chance[np.arange(len(codes)), believed]
    wrong = (believed != codes) & (top >= np.maximum(usual[believed], least))
    return [(int(row), int(believed[row])) for row in np.flatnonzero(wrong)]
