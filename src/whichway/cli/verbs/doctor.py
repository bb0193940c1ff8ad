"""Say what this machine can do, what is missing, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "scikit-learn", "numpy", "pyarrow", "typer", "rich")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` when something should be done."""

    name: str
    value: str
    state: Literal["ok", "note", "bad"] = "ok"
    advice: str = ""


def doctor(runs: Annotated[Path, Option(help="Where runs will be written.")] = Path("runs")) -> int:
    """Look at this machine; exit code 1 when a run cannot work here."""
    marks = {"ok": " ", "note": "*", "bad": "!"}
    findings = list(examine(runs))
    for finding in findings:
        print(f"{marks[finding.state]} {finding.name:<16}{finding.value}")
    advice = [f for f in findings if f.advice]
    print()
    for finding in advice:
        print(f"{marks[finding.state]} {finding.name}: {finding.advice}")
    bad = any(f.state == "bad" for f in findings)
    print("Not ready: see the lines marked with !" if bad else "Ready: whichway demo")
    return 1 if bad else 0


def examine(runs: Path) -> Iterator[Finding]:
    """Everything worth knowing before a run."""
    yield Finding("python", f"{platform.python_version()} at {sys.executable}")
    yield from _libraries()
    yield from _processor()
    yield _speed()
    yield _accelerator()
    yield _memory()
    yield _disk(runs)
    yield _writable(runs)
    yield _default_model()
    yield _embedded()


def _libraries() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    for name in LIBRARIES:
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "missing", "bad", f"pip install {name}")


def _processor() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = load > 0.7 * cores
    advice = "other programs are using the processor; trainings will take longer than planned." if busy else ""
    yield Finding("cores", f"{cores}, load {load:.1f}", "note" if busy else "ok", advice)
    known = _cpu_flags()
    yield Finding("instructions", ", ".join(f for f in FLAGS if f in known) or "none of " + ", ".join(FLAGS))


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def _speed() -> Finding:
    """A matrix product in both precisions: flags promise, the clock tells."""
    try:
        import torch
    except ImportError:
        return Finding("bf16", "unknown without torch", "note")
    single, half = (_gigaflops(torch.ones(512, 512, dtype=kind)) for kind in (torch.float32, torch.bfloat16))
    text = f"{half:.0f} GFLOP/s, float32 {single:.0f}, {torch.get_num_threads()} threads"
    if half < 1.2 * single:
        return Finding("bf16", text, "note", "no faster than float32 here, so models run in float32.")
    return Finding("bf16", text)


def _gigaflops(square: object) -> float:
    import torch

    assert isinstance(square, torch.Tensor)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(square, square)
        best = min(best, time.perf_counter() - start)
    return float(2 * square.shape[0] ** 3 / best / 1e9)


def _accelerator() -> Finding:
    try:
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    except (ImportError, RuntimeError) as error:
        name = f"unknown: {error}"
    return Finding("gpu", name)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f}"
    if memory.available < 2 * GIB:
        return Finding("memory", text, "note", "under 2 GiB: close other programs, or trainings may not fit.")
    return Finding("memory", text)


def _disk(runs: Path) -> Finding:
    free = shutil.disk_usage(_existing(runs)).free
    text = f"{free / GIB:.1f} GiB free at {_existing(runs).resolve()}"
    if free < GIB // 4:
        return Finding(
            "disk", text, "bad", "under 256 MiB: free some space, or give another place with --out and --cache."
        )
    return Finding("disk", text)


def _existing(path: Path) -> Path:
    return next(place for place in [path.absolute(), *path.absolute().parents] if place.exists())


def _writable(runs: Path) -> Finding:
    place = _existing(runs)
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Finding("write access", str(place))
    return Finding("write access", f"none at {place}", "bad", "give a folder of your own with --out and --cache.")


def _default_model() -> Finding:
    from whichway import models
    from whichway.errors import WhichwayError
    from whichway.models import cache

    try:
        name = models.default()
        folder = models.here(name)
    except (WhichwayError, OSError) as error:
        return Finding("default model", "unknown", "note", str(error))
    if folder is None:
        return Finding("default model", f"{name}, not fetched yet", "note", f"whichway models fetch {name}")
    return Finding("default model", f"{name} in {cache.root()}")


def _embedded() -> Finding:
    from whichway.app.configure import base_of
    from whichway.errors import ModelError, WhichwayError

    try:
        return Finding("embedded model", f"revision {base_of('embedded').revision}")
    except (ModelError, WhichwayError, ImportError) as error:
        return Finding("embedded model", "missing", "bad", str(error))
