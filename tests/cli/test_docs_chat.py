"""The examples of some pages of docs/: files are written, commands are run, the lines shown come out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from whichway.cli import main

WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def sections() -> list[tuple[str, str]]:
    """Page and heading, and the text below it, of each section with a command."""
    found = []
    for page in ("prompts.md", "chat.md", "hosted.md", "teacher.md"):
        for part in re.split(r"(?m)^## ", (DOCS / page).read_text(encoding="utf-8"))[1:]:
            heading, _, text = part.partition("\n")
            if "```console" in text:
                found.append((f"{page}: {heading}", text))
    return found


def grown(name: str, text: str) -> str:
    """Three dozen rows of the three that are shown, each lamp with words of its own."""
    lines = text.splitlines()
    head = [] if name.endswith(".jsonl") else lines[:1]
    rows: list[str] = []
    for words in zip(WORDS, WORDS[5:] + WORDS[:5], strict=True):
        rows += [re.sub(r"\blamp\b", f"lamp of {' '.join(words)}", line) for line in lines[len(head) :]]
    return "\n".join([*head, *rows]) + "\n"


@pytest.mark.parametrize(("name", "text"), sections(), ids=[name for name, _ in sections()])
def test_examples(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for kind, file, content in _BLOCK.findall(text):
        if file:
            (tmp_path / file).write_text(
                grown(file, content) if kind in ("csv", "jsonl") else content, encoding="utf-8"
            )
    ran = 0
    for kind, _, content in _BLOCK.findall(text):
        for run in re.split(r"(?m)^\$ whichway ", content)[1:] if kind == "console" else ():
            command, *shown = run.splitlines()
            code = main(shlex.split(command))
            out = "".join(capsys.readouterr())
            wanted = [line.strip() for line in shown if line != "…"]
            assert code == (2 if wanted[0].startswith("error:") else 0), out
            place = 0
            for line in wanted:
                flat = " ".join(out.split())
                place = flat.find(" ".join(line.split()), place)
                assert place >= 0, f"{name}: '{line}' is not in\n{out}"
            ran += 1
    assert ran
