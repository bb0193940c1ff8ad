"""What only a real process shows: light imports, signals, broken pipes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_kit import QUICK, tickets

HEAVY = {"torch", "transformers", "peft", "numpy", "scipy", "sklearn", "pydantic", "yaml", "rich", "typer", "pyarrow"}
START = [sys.executable, "-c", "import sys; from whichway.cli import main; sys.exit(main())"]


@pytest.mark.parametrize("code", ["import whichway", "from whichway.cli import main; main(['--help'])"])
def test_start_is_light(code: str) -> None:
    show = f"{code}\nimport sys, json; print(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def test_a_closed_pipe_is_quiet() -> None:
    process = subprocess.Popen([*START, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_a_closed_pipe_is_quiet_where_rich_writes() -> None:
    code = """import sys
from whichway.cli.exit_codes import guarded
from rich.console import Console
sys.exit(guarded(lambda: Console().print("a line") or 0))"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 0


def heed_interrupts() -> None:
    """What starts in the background of a shell ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupted_run_resumes(tmp_path: Path) -> None:
    words = ["run", "--data", str(tickets(tmp_path)), *QUICK, "--ways", "base_majority,prompt_plain,tune_probe"]
    words += ["--model", "fake:delay=0.1", "--out", "run", "--json"]
    process = subprocess.Popen(
        [*START, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts
    )
    records, deadline = tmp_path / "run" / "records.jsonl", time.monotonic() + 60
    while not (records.exists() and records.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.decode().split("\n")[1:3] == [
        "stopping; what is done is kept",
        "interrupted; saved; run the same command to resume",
    ]
    assert out == b""
    assert not (tmp_path / "run" / "verdict.json").exists()
    done = subprocess.run([*START, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["run"] == "run"
