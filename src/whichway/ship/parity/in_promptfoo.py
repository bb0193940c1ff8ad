"""An exported promptfoo configuration, rendered by promptfoo itself: its provider `echo` gives the prompt back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from whichway.ship.parity.reference import Reference

_LONGEST = 600.0  # seconds
COMMAND = "WHICHWAY_PROMPTFOO"  # environment: the command, where it is not on the path


def rendered(folder: Path, reference: Reference) -> dict[str, Any]:
    """The rows' messages as promptfoo renders them, or why there are none.

    Returns:
        `result` or `missing`, as `Started` takes them.
    """
    command = os.environ.get(COMMAND) or shutil.which("promptfoo")
    if command is None:
        return {"missing": "promptfoo is not on this machine (npm install -g promptfoo)"}
    if not reference.source.asks_base or reference.source.conversation:
        return {"missing": "its rows go to the winner's own model id as they are; start whichway serve to try it"}
    with tempfile.TemporaryDirectory(prefix="whichway-promptfoo-") as place:
        out = Path(place) / "out.json"
        words = [command, "eval", "-c", str(folder / "promptfooconfig.yaml"), "--providers", "echo", "-o", str(out)]
        quiet = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "PROMPTFOO_CONFIG_DIR": place}
        done = subprocess.run(
            [*words, "--no-cache", "--no-progress-bar", "--no-table"], capture_output=True, text=True, check=False,
            timeout=_LONGEST, env={**os.environ, **quiet},
        )  # fmt: skip
        if not out.is_file():
            return {"result": {"error": (done.stderr or done.stdout).strip()[-300:] or "promptfoo wrote nothing"}}
        results = json.loads(out.read_text(encoding="utf-8"))["results"]["results"]
    by_row = {json.dumps(r["vars"], sort_keys=True): json.loads(r["response"]["output"]) for r in results}
    messages = []
    for row in reference.rows:
        vars_of = [
            values
            for values in map(json.loads, by_row)
            if all(values.get(k) == v for k, v in row.example.input.items())
        ]
        messages.append(by_row[json.dumps(vars_of[0], sort_keys=True)] if vars_of else [])
    return {"result": {"messages": messages, "runtime": "promptfoo"}}
