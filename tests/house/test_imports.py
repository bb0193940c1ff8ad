"""Who imports the command line: its own tests, and those that say here why. All else goes through `app` or Python."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Tests outside tests/cli that are about the command line.
COMMAND_LINE = {
    "tests/app/test_remote_folders.py": "a run in a remote folder is refused with what to do instead",
    "tests/backends/test_hosted_cli.py": "what a user of a hosted model sees and is asked",
    "tests/backends/test_hosted_keys.py": "what a user is told of keys and endpoints",
    "tests/backends/test_vllm.py": "what a user without vLLM is told; that a run which is ended leaves no server",
    "tests/models/test_cli_models.py": "what a user who lacks a model sees and is asked",
    "tests/models/models_kit.py": "fetches in a process of its own, which is then killed",
    "tests/runs/test_run_folder.py": "counts the files that `whichway run` opens, its screen included",
    "tests/tracking/test_tracking.py": "a run with --track, from its start to what its end says",
    "tests/tasks/test_odd_files.py": "a file that is refused ends a command with exit code 2",
    "tests/tasks/test_answers.py": "rows on standard input are read as those of a file",
}


def imports_cli(source: str) -> bool:
    """Whether a file imports the command line, also inside functions or in a program that it starts."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = ["whichway.cli"] if "from whichway.cli import" in node.value else []
        else:
            continue
        if any(name == "whichway.cli" or name.startswith("whichway.cli.") for name in names):
            return True
    return False


@pytest.mark.parametrize("folder", ["benchmarks", "pretraining", "tests"])
def test_only_what_tests_the_command_line_imports_it(folder):
    files = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / folder).rglob("*.py"))}
    importing = {
        name
        for name, path in files.items()
        if not name.startswith(("tests/cli/", "tests/house/")) and imports_cli(path.read_text(encoding="utf-8"))
    }
    assert importing == {name for name in COMMAND_LINE if name in files}


@pytest.mark.parametrize(("source", "found"), [
    ("from whichway.cli import main", True), ("import whichway.cli.verbs.run", True),
    ("from whichway import cli", True),
    ("def f():\n    from whichway.cli.progress import follow", True), ("from whichway.app import run", False),
    ("CODE = 'from whichway.cli import main'", True), ("import whichway.client", False),
])  # fmt: skip
def test_an_import_is_seen(source, found):
    assert imports_cli(source) is found
