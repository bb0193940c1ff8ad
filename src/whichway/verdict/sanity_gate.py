"""The sanity gate: a way that ends well below plain zero-shot on dev counts as failed."""

from __future__ import annotations

from whichway.nouns import Kind
from whichway.verdict import stats
from whichway.verdict.explain.number_format import score_format


def sanity(
    dev_score: float, zero_shot_dev: float, n_dev: int, margin: float, kind: Kind = "prompt", lowest: float = 0.0,
    plain: bool = False,
) -> str:  # fmt: skip
    """The sanity gate: why a way counts as failed, or "" when it passes.

    A way must not end below plain zero-shot on dev by more than the margin and by more than one standard error of a
    paired difference (which, at the usual correlation of .5, is the standard error of one score). Published prompt
    optimisations did in 49 % of runs (arXiv 2604.14585). Baselines are never gated.

    Args:
        dev_score: of the way's finalist.
        zero_shot_dev: of `prompt_plain`.
        n_dev: dev rows.
        margin: δ.
        kind: of the way.
        lowest: the worst score of the metric; the error is that of a share of right rows, on the metric's own scale.
        plain: whether scores are written as plain numbers, not in percent.
    """
    span = 1 - lowest
    interval = stats.wilson((zero_shot_dev - lowest) / span * n_dev, n_dev, 2 * 0.8413447 - 1)
    error = span if interval is None else span * (interval[1] - interval[0]) / 2
    short = zero_shot_dev - dev_score
    if kind == "baseline" or short <= max(margin, error) + 1e-12:
        return ""
    likely = {
        "prompt": "its shots or wording mislead this model",
        "fine-tune": "a learning rate that does not fit, or too few rows or steps",
        "both": "a learning rate that does not fit, or a prompt that misleads this model",
    }[kind]
    form = score_format(plain)
    return (
        f"dev score {form.score(dev_score)} is below zero-shot's {form.score(zero_shot_dev)} "
        f"by {form.size(short)} on {n_dev} rows, more than the margin and one standard error; likely {likely}"
    )
