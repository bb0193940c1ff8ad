"""A trial of a prompt in words, the same on the terminal and on the page."""

from __future__ import annotations

from whichway.app.prompt_trial import PromptEvaluation
from whichway.plurals import plural
from whichway.report.formatting import ScoreText
from whichway.verdict.explain.number_format import score_format


def scores_of(trial: PromptEvaluation) -> ScoreText:
    """How the scores of the task's metric are written."""
    return ScoreText(score_format(trial.plain))


def interval(trial: PromptEvaluation) -> str:
    """Ends of the score in brackets; nothing when they are not known."""
    known = trial.low is not None and trial.high is not None
    return f" ({scores_of(trial).span(trial.low or 0.0, trial.high or 0.0)})" if known else ""


def against(trial: PromptEvaluation) -> str:
    """The difference to the kept prompt in words."""
    low, high, scores = trial.difference_low, trial.difference_high, scores_of(trial)
    known = low is not None and high is not None
    ends = f" ({scores.signed(low)} to {scores.signed(high)}, valid at every look)" if known else ""
    word = "not clear"
    if trial.clear:
        word = "better" if trial.difference > 0 else "worse"
    moved = f"{plural(len(trial.better), 'row')} better, {len(trial.worse)} worse"
    gap, score = scores.signed(trial.difference), scores.value(trial.kept_score)
    return f"{gap} against the kept prompt's {score}{ends}: {word}; {moved}"


def cost(trial: PromptEvaluation) -> str:
    """Seconds, tokens, money."""
    tokens = f"{trial.tokens_in:.0f} + {trial.tokens_cached:.0f} cached + {trial.tokens_out:.0f} written tokens a row"
    return f"{trial.seconds:.1f} s; {tokens}; ${trial.usd_per_1000:.4f} per 1,000 at list price"
