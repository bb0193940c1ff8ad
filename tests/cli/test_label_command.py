"""`whichway label` from the command line: what is refused, and with which reason."""

from __future__ import annotations

import pytest

from whichway.cli import main


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "\n".join(f"row number {k} of the file" for k in range(30)) + "\n", encoding="utf-8")
    return path


def test_what_does_not_fit_ends_with_2_and_a_reason(rows, tmp_path, capsys):
    for words, message in (
        ([tmp_path / "none.csv"], "no such file"),
        ([rows, "--out", rows], "nothing is written over it"),
        ([rows, "--out", tmp_path / "out.xlsx"], ".jsonl"),
        ([rows, "--random", "0"], "share above 0"),
        ([rows, "--input", "txet"], "Did you mean 'text'"),
        ([rows, "--run", tmp_path / "none", "--encoder", "words"], "no such run folder"),
    ):
        assert main(["label", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
