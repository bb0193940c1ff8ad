"""The events of a run as lines of a file, for who follows it from another process: when, what, and a sentence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.plurals import plural

if TYPE_CHECKING:
    from whichway.contracts import Listener
    from whichway.events import Event

OFTEN = ("score", "step")  # events of which one in `EVERY` seconds is enough for a way
EVERY = 0.5
_ROWS = {"score": "dev rows", "ask": "rows for calibration", "test": "test rows"}


@contextmanager
def logged(listener: Listener, path: Path | None) -> Iterator[Listener]:
    """A listener that adds each event to a file and passes it on; the listener itself where there is no file."""
    if path is None:
        yield listener
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    last: dict[tuple[str, str], float] = {}
    cut = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as out:
        if cut:  # by a kill: what follows is a line of its own
            out.write("\n")

        def hear(event: Event) -> None:
            listener(event)
            line, now = line_of(event), time.time()
            key = line["name"], line["way"]
            whole = event.facts.get("done") is not None and event.facts["done"] == event.facts.get("of")
            if line["name"] in OFTEN and not whole and now - last.get(key, 0.0) < EVERY:
                return
            last[key] = now
            out.write(json.dumps({"at": round(now, 3), **line}, ensure_ascii=False) + "\n")
            out.flush()

        yield hear


def line_of(event: Event) -> dict[str, Any]:
    """An event as a line: its name, way, sentence; of a candidate its id, of a clock the seconds that are left."""
    facts = event.facts
    text = _TEXTS[event.name](facts) if event.name in _TEXTS else ""
    line = {"name": event.name, "way": str(facts.get("way", "")), "text": text}
    extra = ("candidate",) if event.name == "candidate" else ("seconds_left",)
    return line | {name: facts[name] for name in extra if name in facts}


_TEXTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "plan": lambda f: f"the plan is fixed: {plural(len(f['plan'].ways), 'way')}, {f['plan'].rows['test']} test rows",
    "way": lambda f: f"begins, {f['index'] + 1} of {f['of']}",
    "say": lambda f: f["message"],
    "score": lambda f: f"{f['done']} of {f['of']} {_ROWS.get(f['what'], f['what'])}",
    "training": lambda f: f"trains {f['steps']} steps, {f['epochs']:.3g} epochs",
    "step": lambda f: f"step {f['step']} of {f['steps']}, loss {f['loss']:.3f}",
    "train": lambda f: f"checkpoint at epoch {f['epoch']:.3g}",
    "halved": lambda f: f"one of {f['trials']} learning rates goes on",
    "candidate": lambda f: f"a candidate{': ' + f['note'] if f['note'] else ''} on {plural(f['rows'], 'dev row')}",
    "race": lambda f: f"after {f['rows']} of {f['of']} dev rows {f['going']} of {f['entries']} candidates go on",
    "raced": lambda f: f"the race is over; {plural(len(f['dropped']), 'candidate was', 'candidates were')} dropped",
    "failed": lambda f: f"left out: {f['reason']}",
    "test": lambda f: f"{plural(f['finalists'], 'finalist has', 'finalists have')} answered the test rows",
    "curve": lambda f: f"learning curve, {plural(f['n'], 'row')}, seed {f['seed']}",
    "purchase": lambda f: f"next for the clock: {f['what']} {f['way']}".rstrip(),
    "standings_changed": lambda f: f"decided anew: {f['verdict'].headline}",
    "verdict": lambda f: f"the verdict: {f['verdict'].headline}",
    "warning": lambda f: f["message"],
    "probe": lambda f: f"measured for the estimate: {f['what']}",
}


@dataclass(frozen=True, slots=True)
class LoggedEvents:
    """Lines of an event file from a place on, and the place after them."""

    lines: tuple[dict[str, Any], ...]
    offset: int


def read_events(path: Path, offset: int = 0) -> LoggedEvents:
    """The whole lines of an event file after so many bytes; a line that is being written comes with the next call."""
    if not path.exists():
        return LoggedEvents((), offset)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    lines = []
    for line in whole.splitlines():
        try:
            value = json.loads(line)
        except ValueError:  # a kill cut it short
            continue
        if isinstance(value, dict):
            lines.append(value)
    return LoggedEvents(tuple(lines), offset + len(whole))
