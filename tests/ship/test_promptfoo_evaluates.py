"""promptfoo itself runs the exported configuration against our server, and counts what the contest counted.

WHICHWAY_PROMPTFOO names its command (npm install promptfoo); without it the tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server_kit import server
from ship_kit import TUNED, WORDS, contest, data, manifest
from test_ship_rows import FIXED, rows

import whichway as ww
from whichway.ship.promptfoo import ADDRESS

COMMAND = os.environ.get("WHICHWAY_PROMPTFOO", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(COMMAND).is_file(), reason="WHICHWAY_PROMPTFOO names no command of promptfoo"),
]
QUIET = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "PROMPTFOO_PYTHON": sys.executable}


def evaluated(folder: Path, address: str, place: Path) -> list[dict[str, Any]]:
    """What promptfoo says of each test of an exported folder."""
    config = folder / "promptfooconfig.yaml"
    config.write_text(config.read_text().replace(ADDRESS, address))
    out = place / f"{folder.name}.json"
    words = [COMMAND, "eval", "-c", str(config), "-o", str(out), "--no-cache", "--no-progress-bar", "--no-table"]
    environment = {**os.environ, **QUIET, "PROMPTFOO_CONFIG_DIR": str(place / "conf")}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert out.is_file(), done.stdout + done.stderr
    results: dict[str, Any] = json.loads(out.read_text())["results"]
    assert results["stats"]["errors"] == 0, [one.get("error") for one in results["results"]][:3]
    return sorted(results["results"], key=lambda one: int(one["testIdx"]))


def written_rows(folder: Path) -> Path:
    """36 rows with a written answer each."""
    lines = [
        {"text": f"{WORDS[k % 12]} {WORDS[(k * 5 + 1) % 12]} {k}: name the first", "answer": f"{WORDS[k % 12]} it is"}
        for k in range(36)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder / "rows.jsonl"


@pytest.fixture(params=["labels", "mail", "talk", "system", "written"])
def run(request: pytest.FixtureRequest, tiny: Callable[[str], Path], tmp_path: Path) -> ww.Run:
    shots: dict[str, Any] = {"prompt_plain": {}, "prompt_shots": FIXED}
    if request.param == "labels":
        ways = {"prompt_plain": {}, "tune_lora": TUNED["tune_lora"], "tune_head": TUNED["tune_head"]}
        return contest(data(tmp_path), tiny("llama"), ways)
    if request.param == "written":
        return contest(written_rows(tmp_path), tiny("llama"), {"prompt_plain": {}}, metric="token_f1")
    prompt = {}
    if request.param == "mail":
        (tmp_path / "p.txt").write_text("Sort.\n\nTitle: {{title}}\nBody: {{body}}\n\nTeam?")
        prompt = {"prompt": tmp_path / "p.txt"}
    return contest(rows(tmp_path, request.param), tiny("llama"), shots, **prompt)


def test_promptfoo_counts_what_the_contest_counted(run: ww.Run, tmp_path: Path) -> None:
    compared = 0
    with server(run.path) as address:
        for way in (standing.way for standing in run.verdict.standings):
            folder = tmp_path / way
            checked = run.ship(folder, way=way, form="promptfoo")
            key = manifest(checked)["candidate"]
            wanted = [
                (records[0].text, records[0].points)
                for row in run.test
                for (candidate, example), records in run.test_records.items()
                if (candidate, example) == (key, row.id)
            ]
            if not wanted:  # it was out of the race before the test rows
                continue
            found = evaluated(folder, address, tmp_path)
            got = [(one["response"]["output"], float(one["score"])) for one in found]
            assert [text for text, _ in got] == [text for text, _ in wanted], way
            assert [score for _, score in got] == pytest.approx([score for _, score in wanted], abs=1e-6), way
            compared += len(got)
    print(f"{compared} rows answered and judged alike")
    assert compared >= 10
