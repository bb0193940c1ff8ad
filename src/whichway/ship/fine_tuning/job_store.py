"""Uploaded files, fine-tuning jobs, their events and checkpoints on disk, so that they outlive the server.

A folder with `jobs.sqlite` and the contents beside it: `files/<file id>`, `jobs/<job id>/<adapter digest>/`. Every name
on disk is made here; no word of a client becomes part of a path.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from whichway.errors import DiskError, UserError

Level = Literal["info", "warn", "error"]
OPEN = ("validating_files", "queued", "running")  # of jobs that are not over

_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, created_at INTEGER, filename TEXT, purpose TEXT, bytes INTEGER);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, created_at INTEGER, status TEXT, facts TEXT);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, job TEXT, created_at INTEGER, facts TEXT);
CREATE TABLE IF NOT EXISTS checkpoints (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, job TEXT, created_at INTEGER, name TEXT, facts TEXT);
CREATE INDEX IF NOT EXISTS events_of ON events (job, number);
CREATE INDEX IF NOT EXISTS checkpoints_of ON checkpoints (job, number);
"""
Row = dict[str, Any]


class JobStore:
    """What a server knows of files and jobs. Safe to use from several threads.

    Args:
        folder: made when the first file is uploaded; until then the store is empty and nothing is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._guard = threading.RLock()
        self._base: sqlite3.Connection | None = None
        self._lock: Any = None
        if (folder / "jobs.sqlite").exists():
            self._connect()

    def close(self) -> None:
        """Release the folder for another server."""
        with self._guard:
            if self._base is not None:
                self._base.close()
                self._lock.release()
            self._base = self._lock = None

    # Files

    def add_file(self, filename: str, purpose: str, source: Path) -> Row:
        """Take a file over, by moving it here.

        Raises:
            DiskError: it cannot be written.
        """
        name = f"file-{secrets.token_hex(12)}"
        with self._guard, _disk(self.folder):
            self._connect()
            (self.folder / "files").mkdir(parents=True, exist_ok=True)
            shutil.move(source, self.folder / "files" / name)
            size = (self.folder / "files" / name).stat().st_size
            self._write(
                "INSERT INTO files (id, created_at, filename, purpose, bytes) VALUES (?, ?, ?, ?, ?)",
                name, int(time.time()), filename, purpose, size,
            )  # fmt: skip
        file = self.file(name)
        assert file is not None
        return file

    def write_file(self, filename: str, purpose: str, text: str) -> Row:
        """Add a file of this text."""
        temporary = self.folder / f".{secrets.token_hex(8)}.tmp"
        with _disk(self.folder):
            temporary.write_text(text, encoding="utf-8")
        return self.add_file(filename, purpose, temporary)

    def file(self, name: str) -> Row | None:
        """A file as OpenAI describes it, with `number`; None: there is none of this id."""
        rows = self._read("SELECT * FROM files WHERE id = ?", name)
        return _file(rows[0]) if rows else None

    def files(self) -> list[Row]:
        """All files, the newest first."""
        return [_file(row) for row in self._read("SELECT * FROM files ORDER BY number DESC")]

    def content(self, name: str) -> Path:
        """Where the bytes of a known file lie."""
        return self.folder / "files" / name

    def delete_file(self, name: str) -> None:
        """Forget a file and its bytes."""
        self._write("DELETE FROM files WHERE id = ?", name)
        self.content(name).unlink(missing_ok=True)

    # Jobs

    def add_job(self, facts: Mapping[str, Any]) -> Row:
        """Create a job that waits for its files to be validated; `facts`: what OpenAI's job object holds besides."""
        name = f"ftjob-{secrets.token_hex(12)}"
        self._write(
            "INSERT INTO jobs (id, created_at, status, facts) VALUES (?, ?, ?, ?)",
            name, int(time.time()), "validating_files", json.dumps(facts),
        )  # fmt: skip
        return self.known_job(name)

    def job(self, name: str) -> Row | None:
        """A job: id, created_at, status and its facts; None: there is none of this id."""
        rows = self._read("SELECT * FROM jobs WHERE id = ?", name)
        return _unfolded(rows[0]) if rows else None

    def known_job(self, name: str) -> Row:
        """A job that is known to be there."""
        job = self.job(name)
        assert job is not None
        return job

    def jobs(self) -> list[Row]:
        """All jobs, the newest first."""
        return [_unfolded(row) for row in self._read("SELECT * FROM jobs ORDER BY number DESC")]

    def update_job(self, name: str, status: str | None = None, **facts: Any) -> bool:
        """Change an open job; False: it is over already (it was cancelled meanwhile), and stays as it is."""
        with self._guard:
            job = self.known_job(name)
            if job["status"] not in OPEN:
                return False
            known = {key: job[key] for key in job if key not in ("number", "id", "created_at", "status")}
            self._write(
                "UPDATE jobs SET status = ?, facts = ? WHERE id = ?",
                status or job["status"], json.dumps({**known, **facts}), name,
            )  # fmt: skip
            return True

    def job_folder(self, name: str) -> Path:
        """Where a known job's trained parts and its saved state lie."""
        return self.folder / "jobs" / name

    # Events and checkpoints

    def add_event(self, job: str, message: str, level: Level = "info", data: Mapping[str, Any] | None = None) -> None:
        """Note what happened to a job; with `data` it is an event of type "metrics"."""
        facts = {"level": level, "message": message, "type": "metrics" if data else "message", "data": data or {}}
        self._write(
            "INSERT INTO events (id, job, created_at, facts) VALUES (?, ?, ?, ?)",
            f"ftevent-{secrets.token_hex(12)}", job, int(time.time()), json.dumps(facts),
        )  # fmt: skip

    def events(self, job: str) -> list[Row]:
        """What happened to a job, the newest first."""
        rows = self._read("SELECT * FROM events WHERE job = ? ORDER BY number DESC", job)
        return [_unfolded(row) for row in rows]

    def add_checkpoint(self, job: str, name: str, facts: Mapping[str, Any]) -> None:
        """Note a checkpoint under its model id; one that is known stays as it is."""
        if not self._read("SELECT id FROM checkpoints WHERE name = ?", name):
            self._write(
                "INSERT INTO checkpoints (id, job, created_at, name, facts) VALUES (?, ?, ?, ?, ?)",
                f"ftckpt_{secrets.token_hex(12)}", job, int(time.time()), name, json.dumps(facts),
            )  # fmt: skip

    def mark_last(self, name: str) -> None:
        """Note that a checkpoint is what its training ended with."""
        with self._guard:
            for row in self._read("SELECT facts FROM checkpoints WHERE name = ?", name):
                facts = json.dumps({**json.loads(row["facts"]), "last": True})
                self._write("UPDATE checkpoints SET facts = ? WHERE name = ?", facts, name)

    def checkpoints(self, job: str | None = None) -> list[Row]:
        """The checkpoints of a job, or of all, the newest first."""
        if job is None:
            rows = self._read("SELECT * FROM checkpoints ORDER BY number DESC")
        else:
            rows = self._read("SELECT * FROM checkpoints WHERE job = ? ORDER BY number DESC", job)
        return [_unfolded(row) for row in rows]

    # SQLite

    def _connect(self) -> None:
        if self._base is not None:
            return
        from filelock import FileLock, Timeout

        with _disk(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / "server.lock", timeout=0, thread_local=False)
            try:
                lock.acquire()
            except Timeout:
                raise UserError(
                    f"another server uses {self.folder}. Stop it, or give another place with --folder."
                ) from None
            base = sqlite3.connect(self.folder / "jobs.sqlite", check_same_thread=False)
        base.row_factory = sqlite3.Row
        base.execute("PRAGMA journal_mode = WAL")
        base.executescript(_TABLES)
        self._base, self._lock = base, lock

    def _read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._guard:
            return [] if self._base is None else self._base.execute(query, values).fetchall()

    def _write(self, query: str, *values: Any) -> None:
        with self._guard, _disk(self.folder):
            self._connect()
            assert self._base is not None
            with self._base:
                self._base.execute(query, values)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        raise DiskError(f"{folder} cannot be written: {error}. Give another place with --folder.") from error


def _file(row: sqlite3.Row) -> Row:
    return {**dict(row), "object": "file", "status": "processed"}


def _unfolded(row: sqlite3.Row) -> Row:
    plain = dict(row)
    return {**plain, **json.loads(plain.pop("facts"))}
