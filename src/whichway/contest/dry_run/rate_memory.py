"""What probes of this machine have measured, kept in a file of the cache: rates with their dates, and other facts.

A rate is measured once a month, and checked by a few rows whenever a contest is estimated. One that was only measured
while other programs kept the machine busy is measured anew, up to three times. What trainings take is learned from the
contests themselves as well. Other facts age, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from whichway.contest.dry_run.machine_load import Load, LoadSince, load_from_now, machine
from whichway.contracts import Work
from whichway.measurements import AGREE, DAYS, IDLE, LEAST, History, Measurement, history_of, merged
from whichway.nouns import digest

TIMINGS = "timings.json"  # in the cache
READ = " read"  # how kinds of reading end
SURE = timedelta(minutes=10)  # after an idle measurement in which it is not checked
TEACHES = 10.0  # seconds of a training from which on it says more than a probe
LEVEL = 1.05  # factor up to which two times are the same to a reader

Facts = dict[str, Any]


def utc_now() -> datetime:
    """The time, as files hold it."""
    return datetime.now(UTC)


class RateMemory:
    """Measured times of this machine.

    Args:
        path: of the file; None keeps them in memory.
        now: the time.
        load: starts to watch how busy other programs keep the machine.
    """

    def __init__(
        self,
        path: Path | None,
        now: Callable[[], datetime] = utc_now,
        load: Callable[[], LoadSince] = load_from_now,
    ) -> None:
        self._path, self._now, self._load, self._here = path, now, load, machine()
        self._known: dict[str, Facts] = {}
        self._before: dict[str, History | None] = {}  # kinds that were measured in this probe -> what was known
        self._fresh: dict[str, float] = {}  # the same kinds -> what came out
        self._moved: set[str] = set()  # models that were found to read at another rate than was remembered
        self._since: LoadSince | None = None
        self._last = Load()
        if path is not None and path.exists():
            self._known = dated(_read(path))

    # rates

    def rate(self, kind: str) -> float | None:
        """Seconds for a unit of a kind of work on this machine; None where it was not measured."""
        history = self._history(kind)
        return None if history is None else history.seconds

    def rate_in_force(self, kind: str) -> float | None:
        """The same, None also where the measurements are too old to price a contest by."""
        history = self._history(kind)
        return None if history is None or history.old(self._now()) else history.seconds

    def stale(self, kind: str) -> bool:
        """Whether a kind is to be measured anew: unknown, old, only seen on a busy machine, or of a model that moved.

        Once it was measured in this probe it is not.
        """
        history = self._history(kind)
        if kind in self._before:
            return False
        moved = any(kind.startswith(f"{model} ") for model in self._moved)
        return history is None or moved or not history.settled or history.old(self._now())

    def unchecked(self, kind: str) -> bool:
        """Whether a remembered rate was not compared with a new measurement lately."""
        history = self._history(kind)
        if history is None or kind in self._before:
            return False
        return not history.newest.idle or self._now() - history.newest.when > SURE

    def confirms(self, kind: str, seconds: float) -> bool:
        """Whether one new measurement is enough, as it agrees with a remembered rate that is still good."""
        history = self._history(kind)
        return history is not None and not self.stale(kind) and history.agrees(seconds / self.load.slowed)

    def learn(self, works: Sequence[Work], anew: bool = False) -> None:
        """Add what was just done to the measurements of its kinds.

        Args:
            works: that were done; kinds without units tell nothing.
            anew: it takes the place of what this probe has measured of the same kinds before.
        """
        sums: dict[str, tuple[float, float]] = {}
        for work in works:
            units, seconds = sums.get(work.kind, (0.0, 0.0))
            sums[work.kind] = units + work.units, seconds + work.seconds
        for kind, (units, seconds) in sums.items():
            if units > 0 and (anew or kind not in self._before):
                load = self.load
                self._add(kind, Measurement(max(LEAST, seconds / units / load.slowed), self._now(), load.busy))
        self.save()

    def _add(self, kind: str, new: Measurement) -> None:
        known = self._before.setdefault(kind, self._history(kind))
        self._fresh[kind] = new.seconds
        history = History((new,)) if known is None else known.added(new)
        if known is not None and kind.endswith(READ) and not known.agrees(history.seconds):
            self._moved.add(kind.removesuffix(READ))
        self._known[self._rate_key(kind)] = history.to_json()

    def _history(self, kind: str) -> History | None:
        return history_of(self._known.get(self._rate_key(kind), {}))

    def _rate_key(self, kind: str) -> str:
        return digest(["rate", self._here, kind], 32)

    # other facts

    def remembered(self, name: Sequence[Any]) -> Facts | None:
        """Facts by what they are about; None where they were not measured, or too long ago."""
        facts = self._known.get(self._key(name))
        if facts is None or self._now() - datetime.fromisoformat(facts["when"]) > timedelta(days=DAYS):
            return None
        return {key: value for key, value in facts.items() if key not in ("when", "busy")}

    def hurried(self, name: Sequence[Any]) -> bool:
        """Whether remembered facts were measured on a busy machine, on another day."""
        facts = self._known.get(self._key(name), {})
        busy = float(facts.get("busy", 0.0)) > IDLE
        return busy and datetime.fromisoformat(facts["when"]).date() != self._now().date()

    def remember(self, name: Sequence[Any], facts: Mapping[str, Any]) -> None:
        """Keep facts that were measured now."""
        about = {"when": self._now().isoformat(timespec="minutes"), "busy": round(self.load.busy, 3)}
        self._known[self._key(name)] = {**facts, **about}
        self.save()

    def _key(self, name: Sequence[Any]) -> str:
        return digest([*name, self._here], 32)

    # the machine meanwhile

    def watch(self) -> None:
        """Something is measured from now on."""
        self._since = self._load()

    @property
    def load(self) -> Load:
        """How busy the machine was since then."""
        self._last = self._last if self._since is None else self._since()
        return self._last

    def save(self) -> None:
        """Write the file, whole or not at all."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".tmp")
            temporary.write_text(json.dumps(self._known, indent=1, sort_keys=True), encoding="utf-8")
            temporary.replace(self._path)

    def notes(self) -> list[str]:
        """Sentences on where the rates come from, and on how busy the machine is."""
        reads = [kind for kind in self._before if kind.endswith(READ)] or list(self._before)
        lines = [self._note(kind) for kind in reads]
        if self._before and self.load.busy > IDLE:
            share = f"Other programs take {100 * self.load.busy:.0f} % of this machine's processor time now"
            lines.append(f"{share}, so it takes longer by the clock than these times of an idle machine.")
        return list(dict.fromkeys(lines))

    def _note(self, kind: str) -> str:
        known, history = self._before[kind], self._history(kind)
        if known is None or history is None:
            unsure = history is not None and not history.settled
            return "Rates were measured now" + (", and will be again when the machine is idle." if unsure else ".")
        day, ratio = known.newest.when.strftime("%Y-%m-%d"), history.seconds / known.seconds
        if not known.agrees(history.seconds):
            wrong = f"{1 / ratio:.1f} times too slow" if ratio < 1 else f"{ratio:.1f} times too fast"
            return f"Rates were measured anew: those of {day} are {wrong} for this machine today."
        moved = self._fresh[kind] / known.seconds
        if moved > AGREE:
            return f"Rates are those of {day}. Now it takes {moved:.1f} times as long, as other programs are at work."
        size = f"{100 * abs(moved - 1):.0f} % {'slower' if moved > 1 else 'faster'}"
        return f"Rates are those of {day}, checked now: {'the same' if 1 / LEVEL <= moved <= LEVEL else size}."


def probed_rates(cache: Path) -> Callable[[str], float | None]:
    """The rates of this machine that probes have left in a cache."""
    return RateMemory(cache / TIMINGS).rate_in_force


class RatesFromRuns:
    """What trainings of a contest teach of this machine, for the contests that come later.

    A probe looks at a few short steps, a contest at hundreds of whole ones. The first checkpoint of each kind of
    training counts as one more measurement, where it took ten seconds and a probe has measured it before.

    Args:
        cache: with the file of rates.
    """

    def __init__(self, cache: Path) -> None:
        self._path = cache / TIMINGS
        self._learned: set[str] = set()

    def __call__(self, works: Sequence[Work], load: Load) -> None:
        """Learn from work that was done just now, while the machine was as busy as `load` says."""
        long = [work for work in works if work.seconds >= TEACHES and not work.kind.endswith(READ)]
        new = [work for work in long if work.kind not in self._learned]
        self._learned |= {work.kind for work in new}
        if new:
            memory = RateMemory(self._path, load=lambda: lambda: load)  # read anew: others write the file as well
            memory.watch()
            memory.learn([work for work in new if memory.rate(work.kind) is not None])


def together(*files: Mapping[str, Any]) -> dict[str, Facts]:
    """What several such files hold together: of a rate all measurements, of other facts the newest."""
    known: dict[str, Facts] = {}
    for facts in map(dated, files):
        for key, value in facts.items():
            known[key] = _joined(known[key], value) if key in known else value
    return known


def _joined(one: Facts, other: Facts) -> Facts:
    histories = [history for facts in (one, other) if (history := history_of(facts)) is not None]
    return merged(histories).to_json() if histories else max(one, other, key=lambda facts: str(facts["when"]))


def dated(known: Mapping[str, Any]) -> dict[str, Facts]:
    """The entries that say when they were measured; those of older versions do not, and are measured anew."""
    entries = {key: facts for key, facts in known.items() if isinstance(facts, dict)}
    return {key: facts for key, facts in entries.items() if "when" in facts or history_of(facts) is not None}


def _read(path: Path) -> dict[str, Any]:
    with suppress(ValueError):  # a damaged file is measured anew
        facts = json.loads(path.read_text(encoding="utf-8"))
        return facts if isinstance(facts, dict) else {}
    return {}
