"""Start a program in a process of its own, so that an exported thing meets its runtime and nothing of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whichway.ship.parity.check_options import PEERS, CheckOptions

PROGRAMS = Path(__file__).with_name("programs")
_LONGEST = 3600.0  # seconds


def run_program(name: str, job: Mapping[str, Any], python: Path | str = sys.executable) -> dict[str, Any]:
    """The result of a program of `programs/`; `error` says why there is none.

    Args:
        name: the program's file, without `.py`.
        job: what it is told.
        python: that runs it.
    """
    with tempfile.TemporaryDirectory(prefix="whichway-check-") as place:
        job_file, result_file = Path(place) / "job.json", Path(place) / "result.json"
        job_file.write_text(json.dumps(job), encoding="utf-8")
        command = [str(python), str(PROGRAMS / f"{name}.py"), str(job_file), str(result_file)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_LONGEST, env=_environment()
            )
        except subprocess.TimeoutExpired:
            return {"error": f"no answer within {_LONGEST / 60:.0f} minutes"}
        if result_file.is_file():
            result: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
            return result
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"error": f"the process ended with {done.returncode}: {last[:300]}"}


def _environment() -> dict[str, str]:
    """Offline, and without our own files among the importable ones."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**variables, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def python_with(module: str, options: CheckOptions) -> str | None:
    """A Python that can import a module: this one, or the other one that the user names; None where neither can."""
    other = options.python or (Path(os.environ[PEERS]) if os.environ.get(PEERS) else None)
    for python in (sys.executable, *([str(other)] if other is not None else [])):
        importable = subprocess.run(
            [python, "-c", f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"],
            capture_output=True, check=False, env=_environment(),
        )  # fmt: skip
        if importable.returncode == 0:
            return python
    return None
