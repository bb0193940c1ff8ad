"""A job's rows as token ids, with what can be said against them."""

from __future__ import annotations

import logging

from whichway.engine.model.load import Model
from whichway.engine.train import adapter_check, head
from whichway.engine.train.encoded_rows import Encoded, Targets
from whichway.errors import DataError
from whichway.nouns import TrainJob

log = logging.getLogger(__name__)


def encode(model: Model, job: TrainJob) -> list[Encoded]:
    """A job's rows as token ids.

    Raises:
        DataError: there are no rows, one has nothing to train on, or no earlier answer that should be is found.
    """
    if not job.rows:
        raise DataError("There are no rows to train on.")
    wanted: Targets = "all" if job.options.get("targets") == "all" else "last"
    rows = adapter_check.encode(model.renderer, [(row.messages, row.answer) for row in job.rows], wanted, model.context)
    trimmed = sum(row.trimmed > 0 for row in rows)
    if trimmed:
        log.warning(
            "%d of %d conversations are longer than the model reads; oldest turns left out.", trimmed, len(rows)
        )
    for number, row in enumerate(rows):
        if not row.answer or not row.prompt:
            raise DataError(f"Training row {number + 1} ({job.rows[number].answer!r}) has no token to train on.")
    if wanted == "all":
        adapter_check.count_earlier(rows, [row.messages for row in job.rows])
    return head.encode(rows, job) if job.kind == "head" else rows
