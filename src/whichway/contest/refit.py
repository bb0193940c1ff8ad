"""What ships after a cross-fit: the folds' median choice, made of all rows.

The folds measured a procedure; none of their models is it. So the choice is made once more, of all rows: the same
training with the middle one of the folds' rates, at the middle one of their checkpoints; the same prompt with all rows
to choose shots from; both stages of a cascade, with the middle one of the folds' thresholds. What cannot be made of all
rows (examples written into a prompt, a prompt that a search found, a training of several stages) is not: there the
finalist of the fold that is best on dev ships, and the page says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from whichway.contest.bench import InFold, RunBench
from whichway.contest.ledger import RunLedger
from whichway.contest.selection.select import WayRun
from whichway.contest.way_trainings import Recipe
from whichway.errors import AdapterNotLive, BudgetSpent, WayFailed
from whichway.nouns import Candidate, Decoding, Deferral, Prompt, Shot, Task, canonical, to_json
from whichway.runs.folder import REFIT, write_json
from whichway.tasks.folds import trained_rows
from whichway.training_kinds import rate_text


@dataclass(frozen=True, slots=True)
class Choice:
    """What the folds chose in the middle: a prompt, how it is read, and how its weights are trained, if they are."""

    prompt: Prompt
    decoding: Decoding
    recipe: Recipe | None


def refit(task: Task, ledger: RunLedger, tried: Sequence[WayRun], way: str | None) -> bool:
    """Make a way's candidate of all rows and write it beside the others.

    Args:
        task: with folds.
        ledger: of the run.
        tried: the ways.
        way: the one that ships; None: none does.

    Returns:
        Whether there is one; if not, the way's log says why.
    """
    one = next((t for t in tried if t.name == way and not t.reason), None)
    if one is None or not one.finalists:
        return False
    rows = trained_rows(task)
    count = len(task.folds)
    practice = replace(task.train_dev_view(), train=rows, dev=())
    bench = RunBench(ledger, one.name, practice, note="on all rows: ", fold=InFold(count, 1.0, one.bench))
    finalists = [candidate for candidate, _ in one.finalists]
    before = (bench.account.spend.seconds, bench.account.spend.usd)
    try:
        candidate, how = _made(finalists, bench, task)
    except (WayFailed, AdapterNotLive, BudgetSpent) as error:
        bench.say(f"not made: {error}")
        return False
    candidate = replace(candidate, way=one.name, seed=count)
    bench.keep(candidate)
    spend = bench.account.spend
    facts: dict[str, Any] = {
        "id": candidate.id,
        "how": how,
        "rows": len(rows),
        "dev_score": None,
        "dev_rows": 0,
        "finalist": False,
        "seconds_fit": spend.seconds - before[0],
        "usd_fit": spend.usd - before[1],
        "candidate": to_json(candidate),
    }
    facts |= bench.sizes(candidate)
    write_json(ledger.folder / "ways" / one.name / REFIT, facts)
    bench.say(how)
    return True


def dearest(tried: Sequence[WayRun]) -> str | None:
    """The way that took longest: what an estimate takes for the one that ships."""
    left = [one for one in tried if not one.reason]
    return max(left, key=lambda one: one.bench.account.spend.seconds).name if left else None


def _made(finalists: Sequence[Candidate], bench: RunBench, task: Task) -> tuple[Candidate, str]:
    """The candidate, and in words how it was made.

    Raises:
        WayFailed: it cannot be made of all rows.
    """
    if any(candidate.deferral for candidate in finalists):
        return _cascade_made(finalists, bench, task)
    rows = trained_rows(task)
    if len({c.id for c in finalists}) == 1:
        return finalists[0], f"the same in all {len(finalists)} folds, so it needs no further fit"
    choice = middle(finalists, bench.trainings.recipes)
    recipe = choice.recipe
    if recipe is None:
        note = f"{choice.prompt.nearest} of {len(choice.prompt.pool)} shots for each row"
        candidate = replace(finalists[0], prompt=choice.prompt, decoding=choice.decoding, note=f"all rows, {note}")
        return candidate, f"the folds' median choice ({note}) with all rows to choose from"
    every = (*rows, *recipe.added)
    training = bench.train(recipe.kind, recipe.start, choice.prompt, every, seed=len(finalists), **recipe.options)
    adapter = next(islice(training, recipe.index, None), None)
    getattr(training, "close", lambda: None)()  # what comes after the checkpoint is not needed
    if adapter is None:
        raise WayFailed("its training ended before the folds' usual checkpoint")
    choice_text = rate_text(recipe.options)
    note = f"all rows, {choice_text}, {adapter.epoch:.1f} epochs" if choice_text else "all rows"
    candidate = Candidate(choice.prompt, adapter.weights, choice.decoding, note=note)
    more = f" and {len(recipe.added)} rows that a teacher labelled or wrote" if recipe.added else ""
    return candidate, f"trained on all {len(rows)} rows{more}" + (
        f" with the folds' median choice ({choice_text})" if choice_text else ""
    )


def _cascade_made(finalists: Sequence[Candidate], bench: RunBench, task: Task) -> tuple[Candidate, str]:
    """The cascade that most folds chose, both of its stages made of all rows, and in words how.

    Confidence and threshold are those of the fold whose threshold, in log-odds of the first stage, is the middle one.

    Raises:
        WayFailed: a stage cannot be made of all rows.
    """
    pairs = [(c.weights.base, c.weights.kind, *(stage.way for stage in c.stages[1:])) for c in finalists]
    usual = Counter(pairs).most_common(1)[0][0]  # the first of equals
    own = [c for c, pair in zip(finalists, pairs, strict=True) if pair == usual]
    first, how_first = _made([replace(c, deferral=None) for c in own], bench, task)
    deferrals = sorted((c.deferral for c in own if c.deferral is not None), key=_log_odds_wanted)
    second, how_second = _made([deferral.to for deferral in deferrals], bench, task)
    deferral = deferrals[(len(deferrals) - 1) // 2]
    second = replace(second, way=deferral.to.way)
    note = f"{first.note}; below confidence {deferral.least:.2f} {second.way}: {second.note}"
    how = f"first stage: {how_first}; second stage: {how_second}; the middle one of the folds' thresholds"
    return replace(first, deferral=replace(deferral, to=second), note=note), how


def _log_odds_wanted(deferral: Deferral) -> float:
    """The first stage's own log-odds from which on its answer stands."""
    if not 0 < deferral.least < 1 or deferral.slope <= 0:
        return math.inf if deferral.least >= 1 else -math.inf
    return (math.log(deferral.least / (1 - deferral.least)) - deferral.intercept) / deferral.slope


def middle(finalists: Sequence[Candidate], recipes: Mapping[str, Recipe]) -> Choice:
    """The median choice of the folds' finalists.

    Args:
        finalists: one for each fold.
        recipes: digest of a trained part -> how it was made.

    Raises:
        WayFailed: they cannot be made of other rows, and why.
    """
    kinds = Counter(_kind(c, recipes) for c in finalists)
    usual = max(kinds, key=lambda kind: kinds[kind])  # the first of equals
    if kinds[usual] == 1 < len(finalists):
        raise WayFailed("each fold found another prompt")
    own = [c for c in finalists if _kind(c, recipes) == usual]
    prompt, decoding = _prompt([c.prompt for c in own]), _decoding([c.decoding for c in own])
    if own[0].weights.adapter is None:
        return Choice(prompt, decoding, None)
    trainings = [recipes[c.weights.adapter or ""] for c in own]
    options = {name: _typical([one.options.get(name) for one in trainings]) for name in trainings[0].options}
    return Choice(
        prompt, decoding, replace(trainings[0], options=options, index=_low([one.index for one in trainings]))
    )


def _kind(candidate: Candidate, recipes: Mapping[str, Recipe]) -> str:
    """What two choices must share to have a middle: all but numbers, and the rows to choose shots from.

    Raises:
        WayFailed: it cannot be made of other rows.
    """
    recipe = recipes.get(candidate.weights.adapter or "")
    if candidate.weights.adapter is not None and (recipe is None or not recipe.whole or recipe.start.adapter):
        raise WayFailed("its training has several stages or chooses among its rows")
    bare = replace(candidate.prompt, pool=(), nearest=0)
    decoding = replace(candidate.decoding, bias=())
    added = [] if recipe is None or not recipe.added else ["added rows"]
    how = None if recipe is None else [recipe.kind, recipe.start.key, sorted(recipe.options), *added]
    return canonical([bare.content, bool(candidate.prompt.pool), decoding, how])


def _prompt(prompts: Sequence[Prompt]) -> Prompt:
    """One prompt; where each row is shown rows of a pool, the pools of all folds together."""
    first = prompts[0]
    if not first.pool:
        return first
    pool: dict[Shot, None] = {}
    for prompt in prompts:
        pool |= dict.fromkeys(prompt.pool)
    return replace(first, pool=tuple(pool), nearest=_low([prompt.nearest for prompt in prompts]))


def _decoding(decodings: Sequence[Decoding]) -> Decoding:
    """One decoding; a label's bias is the mean of the folds'."""
    names = [name for name, _ in decodings[0].bias]
    biases = [dict(decoding.bias) for decoding in decodings]
    mean = tuple((name, round(sum(bias.get(name, 0.0) for bias in biases) / len(biases), 6)) for name in names)
    return replace(decodings[0], bias=mean)


def _typical(values: Sequence[Any]) -> Any:
    """The middle one of numbers, the most frequent one of others."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return _low(values)
    counts = Counter(canonical(v) for v in values)
    most = max(counts, key=lambda text: counts[text])
    return next(v for v in values if canonical(v) == most)


def _low(values: Iterable[Any]) -> Any:
    """The lower median: a value that some fold chose."""
    ranked = sorted(values)
    return ranked[(len(ranked) - 1) // 2]
