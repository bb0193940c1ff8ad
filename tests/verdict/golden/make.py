"""After a change of what a verdict says: decide the golden run again from its records.

python tests/verdict/golden/make.py          # verdict.json alone, from the records that are there
python tests/verdict/golden/make.py --anew   # another run, with records of its own
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "contest"))

from contest_kit import make_components, settings_for, small_task  # noqa: E402

from whichway.app.open_results import results_of  # noqa: E402
from whichway.contest import run  # noqa: E402
from whichway.runs.folder import json_text  # noqa: E402
from whichway.runs.run import Run  # noqa: E402

FILES = ("plan.json", "rows.jsonl", "records.jsonl", "ledger.jsonl", "race.json", "curves.jsonl", "verdict.json")
SKILL = {"zero": 0.55, "shots": 0.6, "lora": 0.8, "probe": 0.7, "full": 0.7}
WAYS = ("base_majority", "prompt_plain", "prompt_shots", "tune_lora")


def keep_finalists(folder: Path) -> None:
    """Only the records that a verdict reads: finalists on test. The others would be a megabyte."""
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    finalists = {key for line in verdict["standings"] for key in line["candidates"]}
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if (r := json.loads(line))["candidate"] in finalists and r["split"] == "test"]
    (folder / "records.jsonl").write_text("".join(kept), encoding="utf-8")


def again() -> None:
    """The verdict of the records that are there."""
    text = json_text(results_of(Run(HERE / "run")).verdict())
    (HERE / "run" / "verdict.json").write_text(text, encoding="utf-8")


def anew() -> None:
    """A contest in a simulated world, without its trained parts."""
    task = replace(small_task(train=72, dev=60, test=60), volume=2000.0)
    components = make_components(task, skill=SKILL, seed_sd=0.01)
    with tempfile.TemporaryDirectory() as place:
        settings = replace(settings_for(Path(place), {way: {} for way in WAYS}), seeds=(0, 1, 2), curve=(8, 32))
        folder = Path(place) / "run"
        run(task, components, folder=folder, settings=settings)
        shutil.rmtree(HERE / "run", ignore_errors=True)
        (HERE / "run").mkdir()
        for name in FILES:
            shutil.copy(folder / name, HERE / "run" / name)
        keep_finalists(HERE / "run")
        for way in WAYS:
            goal = HERE / "run" / "ways" / way
            goal.mkdir(parents=True)
            for name in ("candidates.jsonl", "status.json"):
                shutil.copy(folder / "ways" / way / name, goal / name)


if __name__ == "__main__":
    anew() if "--anew" in sys.argv[1:] else again()
