"""The SkyPilot file of the examples: its keys, and its programs as far as a shell can read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from whichway.contest.executors import names

FILE = Path(__file__).parents[2] / "examples" / "cluster" / "skypilot.yaml"
KEYS = {"name", "workdir", "num_nodes", "resources", "envs", "setup", "run"}  # of SkyPilot's description of a task


def test_it_is_a_task_whose_programs_are_shell():
    task = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert set(task) == KEYS
    assert all(isinstance(value, str) for value in task["envs"].values())
    for part in ("setup", "run"):
        checked = subprocess.run(["bash", "-n"], input=task[part], text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr
    for name in ("local", "ray"):
        assert name in names()
        assert f"--executor {name}" in task["run"]


def test_one_machine_runs_the_local_executor(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "whichway"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\n')
    program.chmod(0o755)
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "TASK": "t.yaml", "OPTIONS": "--seeds 5",
           "SKYPILOT_NODE_IPS": "10.0.0.1", "SKYPILOT_NUM_NODES": "1", "SKYPILOT_NODE_RANK": "0"}  # fmt: skip
    run = yaml.safe_load(FILE.read_text(encoding="utf-8"))["run"]
    subprocess.run(["bash", "-c", run], env=env, check=True)
    words = (tmp_path / "words").read_text().split()
    assert words[:2] == ["run", "t.yaml"]
    assert words[-2:] == ["--seeds", "5"]
    assert words[words.index("--executor") + 1] == "local"
