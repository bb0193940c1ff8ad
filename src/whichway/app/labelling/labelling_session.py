"""Labelling as it goes on: the row that is shown, what is said about it, and the rows after it.

A label is on the disk before the next row is shown. Heads are fitted and looks are taken in another thread, from a copy
of the labels, so that nobody waits for them.
"""

from __future__ import annotations

import getpass
import shlex
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichway.app.labelling.cheap_ways import LabelledRow
from whichway.app.labelling.label_journal import Action, LabelEntry, LabelJournal, journal_of, now
from whichway.app.labelling.label_pool import LONGEST, SHARE, LabelPool, PoolRow
from whichway.app.labelling.labelled_file import write_labelled
from whichway.app.labelling.next_rows import teaching_rows
from whichway.app.labelling.quick_head import QuickHead, fit_head
from whichway.app.labelling.row_vectors import RowVectors
from whichway.app.labelling.stop_advice import LOOKS, LabelLook, StopAdvice, advise_stop, look
from whichway.errors import DataError, UserError

BATCH = 10  # rows that are chosen at once
AHEAD = 4  # rows left in the queue, from which on the next ones are chosen
EVERY = 20  # labels between two looks
FIRST_TYPICAL = 20  # labels before a head chooses


@dataclass(frozen=True, slots=True)
class LabelSuggestion:
    """What would probably be the label."""

    label: str
    probability: float | None  # None: it is not known
    source: str  # the way that says so


@dataclass(frozen=True, slots=True)
class LabellingState:
    """What the page shows."""

    row: PoolRow | None  # None: every row has been asked
    suggestion: LabelSuggestion | None
    labels: tuple[tuple[str, int], ...]  # in the order of their keys, with how often each was given
    counts: dict[str, int]  # labelled, drawn, skipped, unsure, rows, given
    advice: StopAdvice
    last: LabelEntry | None  # what undo takes back
    last_text: str = ""


@dataclass(slots=True)
class _Fitted:
    """What was last fitted."""

    head: QuickHead | None = None
    probabilities: Any = None
    looks: list[LabelLook] = field(default_factory=list)


class LabellingSession:
    """One person's labelling of one file. All methods may be called from several threads.

    Args:
        pool: the rows.
        vectors: of the rows of the pool, in their order.
        out: the labelled file; its journal lies beside it.
        labels: known before anything is labelled, in the order of their keys.
        annotator: who labels; None: the user of this machine.
        share: of the labels that rows drawn at random get.
        background: whether heads are fitted in another thread; False: at once, for tests.

    Raises:
        DataError: the journal is of other data, or `out` was not made by labelling this file.
    """

    def __init__(
        self,
        pool: LabelPool,
        vectors: RowVectors,
        out: Path,
        labels: Sequence[str] = (),
        annotator: str | None = None,
        share: float = SHARE,
        background: bool = True,
    ) -> None:
        self.pool, self.vectors, self.out, self.share = pool, vectors, out, share
        self._annotator = annotator or _user()
        self._background = background
        self._places = {row.key: place for place, row in enumerate(pool.rows)}
        facts = {"input": list(pool.input), "target": pool.target, "random_share": round(share, 6)}
        self._journal = LabelJournal(journal_of(out), facts, self._places)
        if out.exists() and not self._journal.path.exists():
            raise DataError(
                f"{out}: it is there, and no journal of labelling lies beside it. Nothing is written over it: give "
                "another file with --out."
            )
        self._lock = threading.RLock()
        self._queue: list[str] = []
        self._fitted = _Fitted()
        self._suggested: dict[str, LabelSuggestion] = {}  # key -> what a run's winner says
        self._worker: threading.Thread | None = None
        used = [entry.label for entry in self._journal.latest().values() if entry.label]
        self._labels = list(dict.fromkeys([*labels, *pool.given_labels, *used]))
        if used or out.exists():
            write_labelled(pool, self._journal.latest(), out)  # a kill may have come between journal and file
        self._work()

    # --- what the page asks

    def state(self) -> LabellingState:
        """What is to be shown now."""
        with self._lock:
            latest = self._journal.latest()
            key = self._queue[0] if self._queue else None
            row = self.pool.rows[self._places[key]] if key else None
            counts = Counter(entry.label for entry in latest.values() if entry.action == "label")
            counts.update(row.label for row in self.pool.rows if row.label and row.key not in latest)
            last = self._journal.entries[-1] if self._journal.entries else None
            text = self.pool.rows[self._places[last.row]].text if last else ""
            drawn = sum(entry.action == "label" and entry.drawn for entry in latest.values())
            return LabellingState(
                row, self._suggestion(row), tuple((label, counts[label]) for label in self._labels),
                self._counts(latest, drawn), advise_stop(self._fitted.looks, drawn), last, text,
            )  # fmt: skip

    def act(self, action: Action, key: str = "", label: str = "") -> LabellingState:
        """Say something about the row that is shown; it is on the disk when this returns.

        Args:
            action: "label", "skip" (asked again at the end), "unsure" (not asked again), or "undo".
            key: of the row, so that a key pressed twice does not label the next row.
            label: one of the labels, or a new one.

        Raises:
            UserError: another row is shown, or the label is empty or too long.
            DiskError: it cannot be kept.
        """
        with self._lock:
            if action == "undo":
                self._undo()
            else:
                label = " ".join(label.split())
                known = {name.casefold(): name for name in self._labels}
                self._say(action, key, known.get(label.casefold(), label))
            write_labelled(self.pool, self._journal.latest(), self.out)
        self._refill()
        return self.state()

    def suggest(self, suggestions: dict[str, LabelSuggestion]) -> None:
        """Take over what a run's winner says of some rows: key -> suggestion."""
        with self._lock:
            self._suggested |= suggestions
            self._labels = list(dict.fromkeys([*self._labels, *(one.label for one in suggestions.values())]))

    def summary(self) -> list[str]:
        """What there is, and the command that uses it."""
        counts, words = self.state().counts, [f"--input {shlex.quote(name)}" for name in self.pool.input]
        if not counts["labelled"]:
            return ["Nothing was labelled."]
        unsure = f"; {counts['unsure']} not sure" if counts["unsure"] else ""
        return [
            f"{counts['labelled']} rows labelled, {counts['drawn']} of them drawn at random{unsure} -> {self.out}",
            f"Go on with the same command. Or: whichway run --data {shlex.quote(str(self.out))} {' '.join(words)} "
            f"--target {shlex.quote(self.pool.target)}",
        ]

    def wait(self) -> None:
        """Wait for what is fitted in the background."""
        worker = self._worker
        if worker is not None:
            worker.join()

    # --- what is said

    def _say(self, action: Action, key: str, label: str) -> None:
        if not self._queue or self._queue[0] != key:
            raise UserError("Another row is shown by now; nothing was kept. Look again.")
        if action == "label" and not 0 < len(label) <= LONGEST:
            raise UserError(f"A label has 1 to {LONGEST} characters.")
        row = self.pool.rows[self._places[key]]
        shown = self._suggestion(row)
        entry = LabelEntry(
            action, key, label if action == "label" else "", row.drawn, shown.label if shown else "",
            round(shown.probability, 4) if shown and shown.probability is not None else None, self._annotator, now(),
        )  # fmt: skip
        self._journal.add(entry)
        self._queue.pop(0)
        if action == "label" and label not in self._labels:
            self._labels.append(label)

    def _undo(self) -> None:
        if not self._journal.entries:
            raise UserError("There is nothing to take back.")
        row = self._journal.entries[-1].row
        self._journal.add(LabelEntry("undo", "", annotator=self._annotator, at=now()))
        self._queue = [row, *(key for key in self._queue if key != row)]

    def _suggestion(self, row: PoolRow | None) -> LabelSuggestion | None:
        """What is shown beside a row: nothing beside one that was drawn at random, whose label must be the user's."""
        if row is None or row.drawn:
            return None
        head, probabilities = self._fitted.head, self._fitted.probabilities
        if row.key in self._suggested:
            return self._suggested[row.key]
        if head is None:
            return None
        own = probabilities[self._places[row.key]]
        best = int(own.argmax())
        return LabelSuggestion(head.labels[best], float(own[best]), "a head on the labels so far")

    def _counts(self, latest: dict[str, LabelEntry], drawn: int) -> dict[str, int]:
        actions = Counter(entry.action for entry in latest.values())
        before = sum(bool(row.label) and row.key not in latest for row in self.pool.rows)
        return {
            "labelled": actions["label"], "drawn": drawn, "skipped": actions["skip"], "unsure": actions["unsure"],
            "given": before, "rows": len(self.pool.rows),
        }  # fmt: skip

    # --- the rows after it

    def _labelled(self, latest: dict[str, LabelEntry]) -> list[LabelledRow]:
        before = [
            LabelledRow(place, row.label, False)
            for place, row in enumerate(self.pool.rows)
            if row.label and row.key not in latest
        ]
        entries = [entry for entry in latest.values() if entry.action == "label"]
        return before + [LabelledRow(self._places[e.row], e.label, e.drawn) for e in entries]

    def _refill(self) -> None:
        """Choose further rows before the queue is empty; called without the lock, which choosing takes itself."""
        worker = self._worker
        if worker is not None and worker.is_alive():
            if self._queue:
                return
            worker.join()
        if not self._queue or not self._background:
            self._work()
        elif len(self._queue) <= AHEAD:
            self._worker = threading.Thread(target=self._work, daemon=True)
            self._worker.start()

    def _work(self) -> None:
        """Fit a head, choose the next rows, look what the labels say."""
        with self._lock:
            if len(self._queue) > AHEAD:
                return
            latest, queue, fitted = self._journal.latest(), list(self._queue), self._fitted
        labelled = self._labelled(latest)
        head = self._head(labelled)
        probabilities = None if head is None else head.probabilities(self.vectors.dense)
        keys = self._next(latest, queue, labelled, probabilities)
        looks = self._looks(labelled, fitted.looks)
        with self._lock:
            self._fitted = _Fitted(head, probabilities, looks)
            latest = self._journal.latest()
            open_keys = [key for key in keys if key not in latest or latest[key].action == "skip"]
            self._queue += [key for key in open_keys if key not in self._queue]

    def _head(self, labelled: Sequence[LabelledRow]) -> QuickHead | None:
        return fit_head(self.vectors.dense[[row.place for row in labelled]], [row.label for row in labelled])

    def _next(
        self, latest: dict[str, LabelEntry], queue: Sequence[str], labelled: Sequence[LabelledRow], probabilities: Any
    ) -> list[str]:
        """The next rows: those drawn at random evenly among the others; skipped ones when all were asked."""
        known_keys = {*latest, *queue}
        free = [(n, row) for n, row in enumerate(self.pool.rows) if row.key not in known_keys and not row.label]
        drawn = [n for n, row in sorted(free, key=lambda pair: pair[1].rank) if row.drawn]
        others = [n for n, row in free if not row.drawn]
        if not free:
            return [key for key, entry in latest.items() if entry.action == "skip" and key not in queue]
        known = [row.place for row in labelled] + [self._places[key] for key in queue]
        wanted = FIRST_TYPICAL if len(labelled) < FIRST_TYPICAL else BATCH
        have = sum(self.pool.rows[place].drawn for place in known)
        count = max(0, min(len(drawn), round(self.share * (len(known) + wanted)) - have))
        count = max(count, wanted - len(others))
        places = self._chosen(others, wanted - count, known, labelled, probabilities)
        return [self.pool.rows[place].key for place in mixed(drawn[:count], places)]

    def _chosen(
        self, places: Sequence[int], count: int, known: Sequence[int], labelled: Sequence[LabelledRow],
        probabilities: Any,
    ) -> list[int]:  # fmt: skip
        repeats = len(labelled) >= 2 * len({row.label for row in labelled})  # else they are no labels
        early = not repeats or len(labelled) < FIRST_TYPICAL
        return teaching_rows(self.vectors.dense, places, count, known, None if early else probabilities)

    def _looks(self, labelled: Sequence[LabelledRow], looks: Sequence[LabelLook]) -> list[LabelLook]:
        """The looks, with new ones where it is time; after a restart also those before it, as far as they count."""
        last = looks[-1].labels if looks else 0
        if len(labelled) - last < EVERY:
            return list(looks)
        cuts = [len(labelled)] if looks else [len(labelled) - k * EVERY for k in range(LOOKS - 1, -1, -1)]
        new = []
        for cut in cuts:
            some = labelled[: max(0, cut)]
            left = sum(row.drawn for row in self.pool.rows) - sum(row.drawn for row in some)
            new.append(look(self.vectors, some, left))
        return [*looks, *(one for one in new if one is not None)]


def mixed(drawn: Sequence[int], chosen: Sequence[int]) -> list[int]:
    """Two lists as one in which both are spread evenly; each keeps its order."""
    places = [((n + 0.5) / len(drawn), n, place) for n, place in enumerate(drawn)]
    places += [((n + 0.5) / len(chosen), len(drawn) + n, place) for n, place in enumerate(chosen)]
    return [place for _, _, place in sorted(places)]


def _user() -> str:
    """The user of this machine; "" where that cannot be told."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
