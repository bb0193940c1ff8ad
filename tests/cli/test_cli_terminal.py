"""A run on a terminal of 80 × 24: its end fits, `--plain` writes lines of text alone, `NO_COLOR` is heeded."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from cli_kit import tickets

COLOUR = re.compile(r"\x1b\[[0-9;]*?(?:3[0-9]|9[0-7]|4[0-9])[0-9;]*m")


def on_a_terminal(*words: str, folder: Path, **environment: str) -> str:
    """What a command writes to a terminal of 80 × 24, standard output and standard error together."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    unset = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM")
    variables = {name: value for name, value in os.environ.items() if name not in unset}
    variables |= {"TERM": "xterm-256color", **environment}
    command = [sys.executable, "-m", "whichway", *words]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=variables)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert child.wait(60) == 0
    return b"".join(parts).decode("utf-8").replace("\r\n", "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("terminal")
    tickets(place, 200)
    return place


DATA = ("--data", "tickets.csv", "--input", "text", "--target", "team", "--ask", "Which team?", "--model", "fake")
WAYS = ("--ways", "base_majority,prompt_plain", "--folds", "1", "--no-probe", "--out", "r")


def test_a_run_on_a_terminal(folder):
    plain = on_a_terminal("run", *DATA, *WAYS, "--plain", folder=folder)
    assert "\x1b" not in plain
    assert not set("╭│╰─━") & set(plain)
    assert "[1/2]" in plain
    assert "Report: r/report.html" in plain
    again = on_a_terminal("run", *DATA, *WAYS, folder=folder, NO_COLOR="1")  # finished: this shows its end once more
    assert not COLOUR.search(again)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", again)
    end = text[text.rindex("\nWay ") :].rstrip("\n").split("\n")
    assert len(end) < 24
    assert all(len(line.rstrip()) <= 80 for line in end)
    assert "Report: r/report.html" in end
    assert any("whichway verdict r" in line for line in end)
