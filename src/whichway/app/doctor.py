"""What this machine can do for a run, what is missing, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "scikit-learn", "numpy", "pyarrow", "typer", "rich")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class MachineFact:
    """One thing looked at; `advice` when something should be done."""

    name: str
    value: str
    state: Literal["ok", "note", "bad"] = "ok"
    advice: str = ""


def examine(runs: Path) -> Iterator[MachineFact]:
    """Everything worth knowing before a run."""
    yield MachineFact("python", f"{platform.python_version()} at {sys.executable}")
    yield from _libraries()
    yield from _processor()
    yield _speed()
    yield _accelerator()
    yield _memory()
    yield _disk(runs)
    yield _writable(runs)
    yield _default_model()
    yield _embedded()


def _libraries() -> Iterator[MachineFact]:
    from importlib.metadata import PackageNotFoundError, version

    for name in LIBRARIES:
        try:
            yield MachineFact(name, version(name))
        except PackageNotFoundError:
            yield MachineFact(name, "missing", "bad", f"pip install {name}")


def _processor() -> Iterator[MachineFact]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = load > 0.7 * cores
    advice = "other programs are using the processor; trainings will take longer than planned." if busy else ""
    yield MachineFact("cores", f"{cores}, load {load:.1f}", "note" if busy else "ok", advice)
    known = _cpu_flags()
    yield MachineFact("instructions", ", ".join(f for f in FLAGS if f in known) or "none of " + ", ".join(FLAGS))


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def _speed() -> MachineFact:
    """A matrix product in both precisions: flags promise, the clock tells."""
    try:
        import torch
    except ImportError:
        return MachineFact("bf16", "unknown without torch", "note")
    single, half = (_gigaflops(torch.ones(512, 512, dtype=kind)) for kind in (torch.float32, torch.bfloat16))
    text = f"{half:.0f} GFLOP/s, float32 {single:.0f}, {torch.get_num_threads()} threads"
    if half < 1.2 * single:
        return MachineFact("bf16", text, "note", "no faster than float32 here, so models run in float32.")
    return MachineFact("bf16", text)


def _gigaflops(square: object) -> float:
    import torch

    assert isinstance(square, torch.Tensor)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(square, square)
        best = min(best, time.perf_counter() - start)
    return float(2 * square.shape[0] ** 3 / best / 1e9)


def _accelerator() -> MachineFact:
    try:
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    except (ImportError, RuntimeError) as error:
        name = f"unknown: {error}"
    return MachineFact("gpu", name)


def _memory() -> MachineFact:
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f}"
    if memory.available < 2 * GIB:
        return MachineFact("memory", text, "note", "under 2 GiB: close other programs, or trainings may not fit.")
    return MachineFact("memory", text)


def _disk(runs: Path) -> MachineFact:
    free = shutil.disk_usage(_existing(runs)).free
    text = f"{free / GIB:.1f} GiB free at {_existing(runs).resolve()}"
    if free < GIB // 4:
        return MachineFact(
            "disk", text, "bad", "under 256 MiB: free some space, or give another place with --out and --cache."
        )
    return MachineFact("disk", text)


def _existing(path: Path) -> Path:
    return next(place for place in [path.absolute(), *path.absolute().parents] if place.exists())


def _writable(runs: Path) -> MachineFact:
    place = _existing(runs)
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return MachineFact("write access", str(place))
    return MachineFact("write access", f"none at {place}", "bad", "give a folder of your own with --out and --cache.")


def _default_model() -> MachineFact:
    from whichway import models
    from whichway.errors import WhichwayError
    from whichway.models import model_cache

    try:
        name = models.default()
        folder = models.here(name)
    except (WhichwayError, OSError) as error:
        return MachineFact("default model", "unknown", "note", str(error))
    if folder is None:
        return MachineFact("default model", f"{name}, not fetched yet", "note", f"whichway models fetch {name}")
    return MachineFact("default model", f"{name} in {model_cache.root()}")


def _embedded() -> MachineFact:
    from whichway.app.configure import base_of
    from whichway.errors import ModelError, WhichwayError

    try:
        return MachineFact("embedded model", f"revision {base_of('embedded').revision}")
    except (ModelError, WhichwayError, ImportError) as error:
        return MachineFact("embedded model", "missing", "bad", str(error))
