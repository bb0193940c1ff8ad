"""Rows as the file that a fine-tuning service reads: one conversation a line, whose last turn is the wanted answer."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from whichway.backends._openai.job_services import RowLimits
from whichway.errors import WayFailed
from whichway.nouns import TrainJob, TrainRow

TURN_TOKENS = 16  # that a chat template adds to a turn, at most
TYPICAL_TURN_TOKENS = 4
TYPICAL_CHARACTERS = 4.0  # of a token
ROLES = ("system", "user", "assistant")


def file_of(job: TrainJob, limits: RowLimits, title: str) -> bytes:
    """The file of a training.

    Args:
        job: its rows.
        limits: of the service.
        title: the service's name, for messages.

    Raises:
        WayFailed: the service would refuse it; names the row.
    """
    if len(job.rows) < limits.least_rows:
        raise WayFailed(f"{title} wants {limits.least_rows} training rows at least; there are {len(job.rows)}")
    lines = []
    for place, row in enumerate(job.rows, 1):
        _check(row, place, limits, title)
        turns = [{"role": turn.role, "content": turn.content} for turn in row.messages]
        turns.append({"role": "assistant", "content": row.answer})
        lines.append(json.dumps({"messages": turns}, ensure_ascii=False))
    content = "".join(f"{line}\n" for line in lines).encode()
    if len(content) > limits.most_bytes:
        raise WayFailed(
            f"the training file has {len(content) / 2**20:,.0f} MiB, and {title} takes {limits.most_bytes / 2**20:,.0f}"
        )
    return content


def _check(row: TrainRow, place: int, limits: RowLimits, title: str) -> None:
    if not row.answer.strip():
        raise WayFailed(f"training row {place} has an empty answer, which {title} refuses")
    if not row.messages or row.messages[-1].role != "user":
        raise WayFailed(f"training row {place} does not end with a question of the user, which {title} wants")
    odd = next((turn.role for turn in row.messages if turn.role not in ROLES), None)
    if odd is not None:
        raise WayFailed(f"training row {place} has a turn of '{odd}', which {title} does not know")
    about, _ = tokens_of([row])
    if limits.most_row_tokens is not None and about > limits.most_row_tokens:
        raise WayFailed(
            f"training row {place} has about {about:,} tokens, and {title} takes {limits.most_row_tokens:,}: it would "
            "be cut off before its answer"
        )


def tokens_of(rows: Sequence[TrainRow]) -> tuple[int, int]:
    """Tokens of one pass over rows: about, and at most, as no token is shorter than a byte."""
    texts = [[*(turn.content for turn in row.messages), row.answer] for row in rows]
    turns = sum(map(len, texts))
    characters = sum(len(text) for row in texts for text in row)
    size = sum(len(text.encode()) for row in texts for text in row)
    about = math.ceil(characters / TYPICAL_CHARACTERS) + TYPICAL_TURN_TOKENS * turns
    return about, size + TURN_TOKENS * turns
