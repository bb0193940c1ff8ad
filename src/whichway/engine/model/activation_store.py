"""What a model computed of rows, kept on disk so that each is read once: by zero-shot, probe, head alike.

An entry is one array with the seconds that it took, under a digest of all that decides it: model, format, token ids,
layer. All processes of a cache share one SQLite file; an entry is there whole or not at all. The file has a limit:
what was used longest ago goes first. A store that cannot be used (a full or foreign disk) is no error: then nothing is
kept, and rows are read again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FILE = "activations.sqlite"
LIMIT = 4 << 30  # bytes of all entries together
_SPARE = 0.9  # of the limit that is left when it was passed
_FRESH = 60.0  # seconds in which a use is not noted again
_MANY = 500  # keys in one question

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class KeptArray:
    """An entry.

    Attributes:
        array: float32.
        seconds: what computing it took, the first time.
    """

    array: Array
    seconds: float


class ActivationStore:
    """Arrays by digest.

    Args:
        path: of the file.
        limit: bytes of all entries together.
    """

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path, self._limit = path, limit
        self._db: sqlite3.Connection | None = None
        self._alone = threading.Lock()  # threads of a session may ask side by side
        with contextlib.suppress(OSError, sqlite3.Error):
            path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=OFF")  # after a crash of the machine rows are read again
            db.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, used REAL, bytes INTEGER)")
            db.execute("CREATE TABLE IF NOT EXISTS arrays (key TEXT PRIMARY KEY, shape TEXT, seconds REAL, data BLOB)")
            self._db = db

    def get(self, keys: Sequence[str]) -> dict[str, KeptArray]:
        """Entries that are there, by key."""
        if self._db is None:
            return {}
        entries: dict[str, KeptArray] = {}
        with contextlib.suppress(sqlite3.Error), self._alone:
            for part in _parts(keys):
                marks = ",".join("?" * len(part))
                query = f"SELECT key, shape, seconds, data FROM arrays WHERE key IN ({marks})"
                for key, shape, seconds, data in self._db.execute(query, part):
                    array = np.frombuffer(data, np.float32).reshape([int(n) for n in shape.split()])
                    entries[key] = KeptArray(array, seconds)
                now = time.time()
                change = f"UPDATE kept SET used = ? WHERE used < ? AND key IN ({marks})"
                self._db.execute(change, [now, now - _FRESH, *part])
        return entries

    def put(self, entries: Mapping[str, KeptArray]) -> None:
        """Keep entries, all or none of them; those that are there stay as they are."""
        if self._db is None or not entries:
            return
        size = sum(entry.array.nbytes for entry in entries.values())
        if size > self._limit:
            return
        with contextlib.suppress(sqlite3.Error), self._alone, _written(self._db) as db:
            for key, entry in entries.items():
                array = np.ascontiguousarray(entry.array, np.float32)
                shape = " ".join(map(str, array.shape))
                db.execute("INSERT OR IGNORE INTO kept VALUES (?, ?, ?)", (key, time.time(), array.nbytes))
                row = (key, shape, entry.seconds, array.tobytes())
                db.execute("INSERT OR IGNORE INTO arrays VALUES (?, ?, ?, ?)", row)
            self._evict(db)

    def _evict(self, db: sqlite3.Connection) -> None:
        """Drop what was used longest ago, once the limit is passed."""
        total = int(db.execute("SELECT TOTAL(bytes) FROM kept").fetchone()[0])
        if total <= self._limit:
            return
        dropped = []
        for key, size in db.execute("SELECT key, bytes FROM kept ORDER BY used, rowid").fetchall():
            if total <= _SPARE * self._limit:
                break
            dropped.append((key,))
            total -= size
        db.executemany("DELETE FROM kept WHERE key = ?", dropped)
        db.executemany("DELETE FROM arrays WHERE key = ?", dropped)

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None


@contextmanager
def _written(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A transaction that is taken back where anything fails in it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _MANY):
        yield list(keys[start : start + _MANY])
