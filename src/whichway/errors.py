"""One tree of errors. Each message says what happened, where, and what to do next.

WhichwayError                 anything we raise on purpose
├── UserError                 the user's input; exit code 2, no traceback
│   ├── DataError             a data file or task file: names file, line, column
│   ├── OptionError           an unknown or unfit option, way, metric, backend ("did you mean")
│   ├── ModelError            a folder that is no model, a pickle-only checkpoint, a missing tokenizer
│   │   └── ModelMissing      a model of the shelf that was not fetched yet; names the command that fetches it
│   ├── EndpointError         a model behind an API refuses us or does not answer; what was answered is kept
│   ├── PlanMismatch          the run folder belongs to another plan; shows the difference
│   └── DiskError             the disk is full or a folder cannot be written
├── BudgetSpent               the budget of a way is spent; the best candidate so far stands
├── WayFailed                 a way ends as "failed, because ..."; never a low score, never a crash
├── NotAsMeasured             what was shipped does not answer as what was measured
├── ProtectedPart             an edit would change a part of a prompt that is protected
└── AdapterNotLive            an adapter was loaded but changes nothing; the run stops

KeyboardInterrupt
└── ClockEnded                the minutes of a run are over; it ends the work wherever it is, as Ctrl-C does
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WhichwayError(Exception):
    """Anything we raise on purpose."""


class UserError(WhichwayError):
    """The user's input is at fault. Shown without a traceback; exit code 2."""


class DataError(UserError):
    """A data file or task file is at fault; the message names file, line and column."""


class OptionError(UserError):
    """An option, way, metric or backend is unknown or unfit."""


class ModelError(UserError):
    """A model cannot be used as it is."""


class ModelMissing(ModelError):
    """A model of the shelf was not fetched yet; the message names the command.

    Args:
        message: what the user reads.
        name: the model's on the shelf.
    """

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class EndpointError(UserError):
    """A model behind an API cannot be asked: a wrong key, no credit, no answer. What was answered is kept."""


class PlanMismatch(UserError):
    """The run folder was made by another plan."""


class DiskError(UserError):
    """The disk is full, or a folder cannot be written."""


class BudgetSpent(WhichwayError):
    """The budget of a way is spent."""


class WayFailed(WhichwayError):
    """A way cannot give a candidate; the message is the reason that the report shows.

    Args:
        message: the reason.
        seconds: what a failed training cost since its last checkpoint, where the backend keeps its own time; else None.
        tokens: that a service bills for a failed training of a hosted model.
    """

    def __init__(self, message: str, seconds: float | None = None, tokens: int = 0) -> None:
        super().__init__(message)
        self.seconds, self.tokens = seconds, tokens


class NotAsMeasured(WhichwayError):
    """What was shipped does not answer as what was measured; the folder is there to be looked at."""


class ProtectedPart(WhichwayError):
    """An edit would change a part of a prompt that is protected."""


class AdapterNotLive(WhichwayError):
    """An adapter was loaded but the model answers as without it."""


class ClockEnded(KeyboardInterrupt):
    """The minutes of a run are over. Like Ctrl-C it passes through whatever is at work; what is done is kept."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for a near miss, else the known words.

    Args:
        word: what the user wrote.
        known: what would have been right.
    """
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else f" Known: {', '.join(known)}."
