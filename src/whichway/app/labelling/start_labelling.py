"""A labelling put together from what a user says: the rows, their vectors, a run's winner that suggests labels."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.labelling.label_pool import SHARE, LabelPool, PoolColumns, read_pool
from whichway.app.labelling.labelled_file import refuse_format, usual_place
from whichway.app.labelling.labelling_session import LabellingSession, LabelSuggestion
from whichway.app.labelling.row_vectors import row_vectors
from whichway.errors import DataError, OptionError, WhichwayError

if TYPE_CHECKING:
    from whichway.ship import ShipSource
    from whichway.tasks.table import ReadOptions

RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class LabellingRequest:
    """What the user says."""

    data: Path
    columns: PoolColumns = field(default_factory=PoolColumns)
    labels: tuple[str, ...] = ()
    out: Path | None = None  # None: beside the data
    run: Path | None = None  # whose winner suggests labels
    annotator: str | None = None
    share: float = SHARE
    encoder: str = "default"
    cache: Path | None = RUNS / ".cache"
    reading: ReadOptions | None = None

    @property
    def file(self) -> Path:
        """The labelled file."""
        return self.out or usual_place(self.data)


def start_labelling(request: LabellingRequest, tell: Callable[[str], None]) -> LabellingSession:
    """The labelling of a file, begun or gone on with.

    Args:
        request: what the user says.
        tell: says a line while it is got ready.

    Raises:
        UserError: the data, the run or the labelled file is at fault.
    """
    if not 0 < request.share <= 1:
        raise OptionError(f"--random {request.share:g}: give a share above 0, at most 1, such as 0.33.")
    refuse_format(request.file)
    if request.file.resolve() == request.data.resolve():
        raise OptionError(f"--out {request.file}: that is the data file, and nothing is written over it.")
    pool = read_pool(request.data, request.columns, request.share, request.reading)
    for note in pool.notes:
        tell(note)
    source = None if request.run is None else _winner(request.run, pool)
    texts = [row.text for row in pool.rows]
    vectors = row_vectors(texts, request.encoder, request.cache, lambda done: tell(f"{done} of {len(texts)} rows read"))
    tell(f"{len(texts)} rows, compared by {vectors.source}.")
    labels = (*request.labels, *(source.labels if source else ()))
    session = LabellingSession(pool, vectors, request.file, labels, request.annotator, request.share)
    if source is not None:
        threading.Thread(target=_suggest, args=(session, pool, source, tell), daemon=True).start()
    return session


def _winner(run: Path, pool: LabelPool) -> ShipSource:
    """A run's winner that answers rows of this file with labels.

    Raises:
        UserError: there is none, or its rows are others.
    """
    from whichway.ship import pick

    source = pick(run)
    missing = [name for name in source.fields if name not in pool.input]
    if missing or len(source.fields) != len(pool.input):
        raise DataError(
            f"{run}: its rows have {', '.join(source.fields)}, and here the text is {', '.join(pool.input)}. Say the "
            "same columns with --input, or leave --run out."
        )
    if not source.labels:
        raise DataError(f"{run}: its answers are no labels. Leave --run out.")
    return source


def _suggest(session: LabellingSession, pool: LabelPool, source: ShipSource, tell: Callable[[str], None]) -> None:
    """Answer the rows that are not drawn at random, part by part, while labels are given."""
    from whichway.app.predict import answers
    from whichway.nouns import Example

    rows = [row for row in pool.rows if not row.drawn]
    examples = [Example({name: row.input[name] for name in source.fields}, "") for row in rows]
    way = source.candidate.way or "the run's winner"
    try:
        for row, line in zip(rows, answers(source, examples), strict=True):
            if line["answer"] is not None:
                session.suggest({row.key: LabelSuggestion(line["answer"], _share(line.get("scores")), way)})
    except WhichwayError as error:
        tell(f"--run {source.run}: no suggestions from it: {error}")


def _share(scores: dict[str, float] | None) -> float | None:
    """The probability of the likeliest label."""
    if not scores:
        return None
    top = max(scores.values())
    return 1 / sum(math.exp(score - top) for score in scores.values())
