"""One content-addressed cache for replies and trainings, shared by all runs of a place.

The key holds everything that decides an answer: backend and version, base revision, adapter, rendered messages, labels,
decoding, repeat. Failures are never cached. A hit returns the original tokens and seconds; who paid for an entry is
kept beside it, so that a run killed between the answer and its ledger line still knows the spending as its own.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from whichway.contest.claims import Claims
from whichway.contracts import Embedding
from whichway.errors import DiskError
from whichway.nouns import Reply, Request, Weights, digest, to_json

TRAININGS = "trainings"  # folder of trainings, and of what several of them read


def reply_key(version: str, weights: Weights, request: Request) -> str:
    """The key of a reply in the cache."""
    return digest([version, weights.key, request], 32)


def _alone(folder: Path | None) -> AbstractContextManager[object]:
    """A lock under which the cache is opened: SQLite fails where two change its journal at once."""
    from filelock import FileLock

    return nullcontext() if folder is None else FileLock(folder / "replies.lock", timeout=60)


class Cache:
    """Replies in a SQLite file, trainings in folders.

    Args:
        folder: the cache's place; None keeps replies in memory (simulations), and then nothing can be trained.
        network: whether processes on other machines use it as well, through a network's file system.
    """

    def __init__(self, folder: Path | None, network: bool = False) -> None:
        self.folder = folder
        self.claims: Claims | None = None  # where other processes work on the same contest
        self._adapters: dict[str, Path] = {}  # digest of a trained part -> its folder
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                self._db = sqlite3.connect(folder / "replies.sqlite" if folder else ":memory:", timeout=60)
                # a write-ahead log is memory that all users share: it cannot cross machines
                self._db.execute(f"PRAGMA journal_mode={'DELETE' if network else 'WAL'}")
                self._db.execute(f"PRAGMA synchronous={'FULL' if network else 'NORMAL'}")
                self._db.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, payer TEXT, reply TEXT)")
                self._db.execute(
                    "CREATE TABLE IF NOT EXISTS vectors "
                    "(key TEXT PRIMARY KEY, payer TEXT, tokens INTEGER, seconds REAL, vector BLOB)"
                )
        except (OSError, sqlite3.Error) as error:
            raise DiskError(f"the cache {folder} cannot be used: {error}. Give another place with --cache.") from error

    def get(self, keys: Sequence[str]) -> dict[str, tuple[Reply, str]]:
        """Found entries: key -> (reply, payer)."""
        entries: dict[str, tuple[Reply, str]] = {}
        try:
            self._read_replies(keys, entries)
        except sqlite3.Error as error:
            raise DiskError(
                f"cannot read the cache {self.folder}: {error}. Give another place with --cache."
            ) from error
        return entries

    def _read_replies(self, keys: Sequence[str], entries: dict[str, tuple[Reply, str]]) -> None:
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            for key, payer, text in self._db.execute(
                f"SELECT key, payer, reply FROM replies WHERE key IN ({marks})", part
            ):
                entries[key] = (Reply(**json.loads(text)), payer)

    def put(self, entries: Iterable[tuple[str, Reply]], payer: str) -> None:
        """Keep replies, all or none of them. Those that failed are left out.

        Raises:
            DiskError: the disk is full.
        """
        rows = [(key, payer, json.dumps(to_json(reply))) for key, reply in entries if reply.finish != "error"]
        self._insert("replies", rows)

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if not rows:
            return
        marks = ",".join("?" * len(rows[0]))
        try:
            with self._db:
                self._db.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)
        except sqlite3.Error as error:
            raise DiskError(
                f"cannot write to the cache {self.folder}: {error}. Free some space and run again."
            ) from error

    def vectors(self, keys: Sequence[str]) -> dict[str, tuple[Embedding, str]]:
        """Found vectors of texts: key -> (vector and what it took, payer)."""
        import numpy as np

        entries: dict[str, tuple[Embedding, str]] = {}
        try:
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                for key, payer, tokens, seconds, vector in self._db.execute(
                    f"SELECT key, payer, tokens, seconds, vector FROM vectors WHERE key IN ({marks})", part
                ):
                    entries[key] = (Embedding(np.frombuffer(vector, np.float32), tokens, seconds), payer)
        except sqlite3.Error as error:
            raise DiskError(
                f"cannot read the cache {self.folder}: {error}. Give another place with --cache."
            ) from error
        return entries

    def keep_vectors(self, entries: Iterable[tuple[str, Embedding]], payer: str) -> None:
        """Keep vectors, all or none of them.

        Raises:
            DiskError: the disk is full.
        """
        import numpy as np

        rows = [(key, payer, e.tokens, e.seconds, e.vector.astype(np.float32).tobytes()) for key, e in entries]
        self._insert("vectors", rows)

    def reserved(
        self, keys: Sequence[str], known: Callable[[Sequence[str]], Mapping[str, Any]]
    ) -> AbstractContextManager[None]:
        """While it is held no other cell of a contest works on those of some keys that are not here yet.

        Args:
            keys: of answers or vectors.
            known: gives those that are here: `get` or `vectors`.
        """
        if self.claims is None:
            return nullcontext()

        def missing() -> list[str]:
            entries = known(keys)
            return [key for key in dict.fromkeys(keys) if key not in entries]

        return self.claims.held(missing)

    def training(self, key: str) -> Path:
        """The folder of one training."""
        if self.folder is None:
            raise DiskError("a cache in memory cannot hold trainings.")
        path = self.folder / TRAININGS / key
        path.mkdir(parents=True, exist_ok=True)
        return path

    def adapter(self, weights: Weights) -> Path | None:
        """The folder of the trained part of weights; None where they have none, or it is not here."""
        if weights.adapter is None or self.folder is None:
            return None
        known = self._adapters.get(weights.adapter)
        if known is None or not known.exists():  # the cache may be large: it is searched once for each trained part
            folders = sorted(self.folder.glob(f"{TRAININGS}/*/{weights.adapter}"))
            if not folders:
                return None
            known = self._adapters[weights.adapter] = folders[0]
        return known

    @contextmanager
    def lock(self, key: str, wait: Callable[[], None]) -> Iterator[None]:
        """Hold one training alone among all runs that share this cache; ends with its process, however that ends.

        Args:
            key: of the training.
            wait: called once when another run holds it.
        """
        from filelock import FileLock, Timeout

        path = self.training(key) / "lock"
        held = FileLock(path, is_singleton=True)  # a way may hold two iterators of one training
        try:
            held.acquire(timeout=0)
        except Timeout:
            wait()
            held.acquire(poll_interval=0.2)
        try:
            yield
        finally:
            held.release()

    def close(self) -> None:
        """Close the file; what trainings of a run read together (activations) is large and quickly made again.

        A cell leaves that to its contest: other cells may read it.
        """
        if self.folder is not None and self.claims is None:
            shutil.rmtree(self.folder / TRAININGS / "states", ignore_errors=True)
        self._db.close()
