"""How far the form of a prompt alone moves a score: the same words, under other headings and in another order.

Sclar et al. 2023 (arXiv 2310.11324) report the spread over formats beside a score, as it reaches 76 points. Departure:
their spread has the luck of the rows in it. Forms answer the same rows here, so in the table of forms by rows what is
neither a form's nor a row's share (the interaction of a two-way analysis of variance) is luck, and is said apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from whichway.findings import Formats
from whichway.verdict.explain.number_format import clean
from whichway.verdict.spread import root
from whichway.verdict.stats import FloatArray

FEWEST = 3  # forms that make a spread


def formats(way: str, names: Sequence[str], scores: FloatArray) -> Formats | None:
    """The spread over the forms of one way; None with fewer than three forms or two rows.

    Args:
        way: whose prompts.
        names: of the forms.
        scores: (forms, dev rows); each form answered each of these rows. Their means are compared, also where the
            metric is no mean.
    """
    forms, rows = scores.shape
    if forms < FEWEST or rows < 2:
        return None
    means = scores.mean(axis=1)
    rest = scores - means[:, None] - scores.mean(axis=0)[None, :] + scores.mean()
    luck = float((rest**2).sum()) / ((forms - 1) * (rows - 1)) / rows
    variance = float(means.var(ddof=1))
    best, worst = int(means.argmax()), int(means.argmin())
    return Formats(
        way=way,
        forms=forms,
        rows=rows,
        low=round(float(means[worst]), 10),
        high=round(float(means[best]), 10),
        worst=names[worst],
        best=names[best],
        sd=round(variance**0.5, 10),
        luck_sd=round(luck**0.5, 10),
        form_sd=root(max(0.0, variance - luck)) or 0.0,
        scores=tuple((name, clean(float(mean)) or 0.0) for name, mean in zip(names, means, strict=True)),
    )
