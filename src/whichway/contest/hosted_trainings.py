"""What is asked before a fine-tuning job begins: may the data leave, is the price known, does the cap hold?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from whichway.contest.hosted_calls import HostedCalls, refusal
from whichway.contracts import TrainsHosted
from whichway.errors import BudgetSpent, OptionError, WayFailed
from whichway.nouns import Decoding, Request, TrainJob


def check_job(calls: HostedCalls, job: TrainJob, folder: Path, dev_rows: int) -> None:
    """Refuse a job that may not begin. One that the service is at already goes on, whatever it costs.

    Args:
        calls: of the way to the model.
        job: the training.
        folder: its place in the cache.
        dev_rows: that its checkpoints answer; money for one pass over them and over the test rows is kept back.

    Raises:
        OptionError: the data are private.
        WayFailed: the price of a trained token, or of the tuned model, is not known, or the rows are refused.
        BudgetSpent: it could pass the cap.
    """
    ledger, backend, word = calls.ledger, calls.backend, calls.weights.base
    assert isinstance(backend, TrainsHosted)
    if ledger.settings.private and not backend.stays(calls.weights):
        raise OptionError(refusal(word))
    about, most = backend.training_tokens(job)
    if backend.begun(job, folder):
        return
    price = ledger.components.prices.get(word)
    if price is None and (backend.stays(calls.weights) or backend.near(calls.weights)):
        return  # a machine of the user's own: its time is its price
    if price is None or price.training is None or price.tuned is None:
        name = backend.price_name(calls.weights)
        raise WayFailed(
            f"what it costs is not known: the entry '{name}' of the price file wants `training`, the price of a "
            "million trained tokens, and `tuned`, the entry of the tuned model"
        )
    tuned = replace(calls.weights, adapter="", kind=job.kind)
    longest = max(job.rows, key=lambda row: sum(len(turn.content) for turn in row.messages))
    request = Request(longest.messages, Decoding("choose" if job.labels else "generate"), job.labels)
    left = replace(calls, weights=tuned).left(price.tuned, request, dev_rows)
    worst = price.training_usd(most) or 0.0
    if left is not None and worst > left:
        raise BudgetSpent(
            f"the budget of {calls.account.name} is too small for its training: that costs about "
            f"${price.training_usd(about) or 0.0:.4g} and can cost ${worst:.4g}, and ${max(0.0, left):.4g} may be "
            "spent on it, as its answers to dev and test rows cost money, too"
        )
