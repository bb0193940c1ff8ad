"""What happens in a contest, as events for who follows it. They inform: no code of ours does anything because of one.

Each has a `name`, the word under which the Python API and logs know it, and `facts`, its fields by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from whichway.nouns import Plan, Verdict


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    name: ClassVar[str] = ""

    @property
    def facts(self) -> dict[str, Any]:
        """The fields by name, as they are."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class PlanFixed(Event):
    """The plan is written; nothing was spent yet."""

    name: ClassVar[str] = "plan"
    plan: Plan
    folder: Path


@dataclass(frozen=True, slots=True)
class WayBegan(Event):
    """A way begins."""

    name: ClassVar[str] = "way"
    way: str
    index: int  # from 0
    of: int


@dataclass(frozen=True, slots=True)
class WaySaid(Event):
    """A line of a way's log."""

    name: ClassVar[str] = "say"
    way: str
    message: str


@dataclass(frozen=True, slots=True)
class RowsAnswered(Event):
    """Some more rows were answered."""

    name: ClassVar[str] = "score"
    way: str
    what: str  # "score" on dev, "ask" without judging, "test", ...
    done: int
    of: int


@dataclass(frozen=True, slots=True)
class TrainingBegan(Event):
    """A training begins, or is found in the cache."""

    name: ClassVar[str] = "training"
    way: str
    kind: str
    epochs: float
    steps: int


@dataclass(frozen=True, slots=True)
class TrainingStep(Event):
    """Where a training stands, not after every step."""

    name: ClassVar[str] = "step"
    way: str
    kind: str
    step: int
    steps: int
    loss: float
    tokens_per_second: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Event):
    """A training has reached a checkpoint."""

    name: ClassVar[str] = "train"
    way: str
    kind: str
    epoch: float
    loss: float | None


@dataclass(frozen=True, slots=True)
class RatesHalved(Event):
    """Successive halving has chosen one of several trainings."""

    name: ClassVar[str] = "halved"
    way: str
    trials: int
    survivor: int
    runs: float  # whole trainings that it cost
    full_runs: int


@dataclass(frozen=True, slots=True)
class CandidateEntered(Event):
    """A candidate was measured on its first dev rows."""

    name: ClassVar[str] = "candidate"
    way: str
    note: str
    seed: int
    dev: float
    rows: int
    of: int
    candidate: str = ""  # its id


@dataclass(frozen=True, slots=True)
class RaceLooked(Event):
    """The race of all candidates has looked at its scores and dropped some."""

    name: ClassVar[str] = "race"
    rows: int
    of: int
    entries: int
    going: int
    dropped: tuple[str, ...]  # ids of candidates


@dataclass(frozen=True, slots=True)
class RaceEnded(Event):
    """The race is over; `facts` are those of race.json."""

    name: ClassVar[str] = "raced"
    race: Mapping[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """What race.json holds."""
        return dict(self.race)


@dataclass(frozen=True, slots=True)
class WayRefused(Event):
    """A way failed, or did not pass its gate."""

    name: ClassVar[str] = "failed"
    way: str
    reason: str


@dataclass(frozen=True, slots=True)
class WayTested(Event):
    """A way's finalists have crossed the test split."""

    name: ClassVar[str] = "test"
    way: str
    finalists: int


@dataclass(frozen=True, slots=True)
class CurvePointBegan(Event):
    """A way is fitted on fewer rows, for its learning curve."""

    name: ClassVar[str] = "curve"
    way: str
    n: int
    seed: int
    index: int
    of: int


@dataclass(frozen=True, slots=True)
class CellEnded(Event):
    """A part of a contest that an executor works on has ended."""

    name: ClassVar[str] = "cell"
    title: str
    done: bool  # False: it failed, or was killed
    count: int  # parts that are done
    of: int


@dataclass(frozen=True, slots=True)
class PurchaseBegan(Event):
    """A contest against the clock begins with the next piece of work."""

    name: ClassVar[str] = "purchase"
    what: str  # "way", "search", "seed" or "fold"
    way: str  # "" for a fold
    seconds: float  # that it takes, estimated
    seconds_left: float | None  # None: no end


@dataclass(frozen=True, slots=True)
class StandingsChanged(Event):
    """A contest against the clock has decided anew, from what stands."""

    name: ClassVar[str] = "standings_changed"
    verdict: Verdict
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class VerdictMade(Event):
    """The verdict is written."""

    name: ClassVar[str] = "verdict"
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class WarningGiven(Event):
    """Something that the user should know."""

    name: ClassVar[str] = "warning"
    message: str


@dataclass(frozen=True, slots=True)
class ProbeBegan(Event):
    """A dry run measures something on this machine."""

    name: ClassVar[str] = "probe"
    way: str
    what: str


# by name: a class with slots is made twice, and the second is the one that has a name here
EVENTS: tuple[type[Event], ...] = tuple({event.name: event for event in Event.__subclasses__()}.values())
