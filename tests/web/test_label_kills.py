"""The labelling page is killed again and again: no label that was answered for is lost."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import pytest

KILLS = 5


def start(path, out):
    words = ["label", path, "--out", out, "--encoder", "words", "--labels", "a,b", "--by", "ann"]
    command = [sys.executable, "-m", "whichway", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=path.parent)
    for line in process.stdout:
        if line.startswith("http"):
            return process, line.strip()
    raise AssertionError("no address")


def talk(address, kept):
    """Label row after row until the page is gone; note what was answered for."""
    where = urlsplit(address)
    line = HTTPConnection(where.hostname, where.port, timeout=30)
    line.request("GET", f"{where.path}?{where.query}")
    answer = line.getresponse()
    answer.read()
    headers = {"cookie": answer.getheader("set-cookie").partition(";")[0], "origin": f"http://{where.netloc}"}
    line.request("GET", "/state", headers=headers)
    state = json.loads(line.getresponse().read())
    while state["row"]:
        key, label = state["row"]["key"], "ab"[len(kept) % 2]
        line.request("POST", "/act", json.dumps({"action": "label", "row": key, "label": label}), headers)
        state = json.loads(line.getresponse().read())
        kept[key] = label


@pytest.mark.slow
def test_no_label_that_was_answered_for_is_lost(tmp_path):
    path, out, kept = tmp_path / "a.csv", tmp_path / "out.csv", {}
    path.write_text("text\n" + "".join(f"row number {k * 7919} of a file\n" for k in range(3000)), encoding="utf-8")
    for kill in range(KILLS):
        process, address = start(path, out)

        def work(address=address):
            try:
                talk(address, kept)
            except (OSError, HTTPException, ValueError):
                return

        thread = threading.Thread(target=work, daemon=True)
        before = len(kept)
        thread.start()
        end = time.monotonic() + 60
        while len(kept) == before and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.3 * kill)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        thread.join(60)
        assert len(kept) > before
    process, _ = start(path, out)
    process.send_signal(signal.SIGINT)
    process.wait(60)
    journal = (tmp_path / "out.csv.journal.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    entries = {entry["row"]: entry["label"] for entry in map(json.loads, journal)}
    assert {key: entries.get(key) for key in kept} == kept
    with out.open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(entries)
    assert not list(tmp_path.glob("*.part"))
