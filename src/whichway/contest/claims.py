"""Claims on answers that processes of one cache are at, so that none is asked for twice.

A claim is all or nothing: a process that waits holds none, so that no two can wait for each other. It ends with its
process, however that ends: each owner holds a lock as long as it lives, and a claim whose owner's lock is free is void.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from whichway.errors import DiskError

POLL = 0.05  # seconds between two looks at another process's claims
PART = 500  # keys of one query


class Claims:
    """The claims of one process.

    Args:
        cache: the folder of the cache that the processes share.
    """

    def __init__(self, cache: Path) -> None:
        from filelock import FileLock

        self._folder, self._owner = cache / "claims", uuid.uuid4().hex
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._folder / f"{self._owner}.lock")
        self._lock.acquire()
        try:
            self._db = sqlite3.connect(self._folder / "claims.sqlite", timeout=60, isolation_level=None)
            self._db.execute("CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, owner TEXT)")
        except sqlite3.Error as error:
            raise DiskError(
                f"the claims in {cache} cannot be used: {error}. Give another place with --cache."
            ) from error

    @contextmanager
    def held(self, missing: Callable[[], Collection[str]]) -> Iterator[None]:
        """Claim what is missing; wait while another process is at any of it.

        Args:
            missing: the keys that are not in the cache; asked again after each wait.
        """
        while not self._take(keys := list(missing())):
            time.sleep(POLL)
        try:
            yield
        finally:
            self._change("DELETE FROM claims WHERE key IN ({marks}) AND owner = ?", keys)

    def _take(self, keys: list[str]) -> bool:
        """Claim all of these keys, or none."""
        if not keys:
            return True
        self._db.execute("BEGIN IMMEDIATE")
        try:
            owners = {owner for part in _parts(keys) for (owner,) in self._db.execute(_marked(
                "SELECT DISTINCT owner FROM claims WHERE key IN ({marks})", part), part)}  # fmt: skip
            free = all(self._void(owner) for owner in owners)
            if free:
                self._db.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?)", [(k, self._owner) for k in keys])
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return free

    def _void(self, owner: str) -> bool:
        """Whether an owner is no longer alive; its claims are then dropped."""
        from filelock import FileLock, Timeout

        path = self._folder / f"{owner}.lock"
        try:
            with FileLock(path, timeout=0):
                self._db.execute("DELETE FROM claims WHERE owner = ?", (owner,))
        except Timeout:
            return False
        path.unlink(missing_ok=True)
        return True

    def _change(self, statement: str, keys: list[str]) -> None:
        for part in _parts(keys):
            self._db.execute(_marked(statement, part), [*part, self._owner])

    def close(self) -> None:
        """Give up what is claimed."""
        self._db.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))
        self._db.close()
        self._lock.release()
        (self._folder / f"{self._owner}.lock").unlink(missing_ok=True)


def _parts(keys: list[str]) -> Iterator[list[str]]:
    return (keys[start : start + PART] for start in range(0, len(keys), PART))


def _marked(statement: str, keys: list[str]) -> str:
    return statement.format(marks=",".join("?" * len(keys)))
