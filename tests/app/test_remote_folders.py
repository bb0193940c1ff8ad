"""Finished runs are copied to remote folders and from them; a run that would work in one is refused."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from whichway.app.remote_folders import copy_run, is_remote, refuse_remote
from whichway.cli import main
from whichway.errors import OptionError, UserError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "ways" / "w").mkdir(parents=True)
    for name in ("run_id", "plan.json", "verdict.json", "ways/w/status.json", "records.jsonl.tmp"):
        (folder / name).write_text(name)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_run_comes_back_as_it_was(run: Path, tmp_path: Path):
    goal = f"memory://{tmp_path.name}/there"
    names = copy_run(str(run), goal)
    assert names == ["plan.json", "run_id", "verdict.json", "ways/w/status.json"]
    assert copy_run(str(run), goal) == names, "it may be copied again"
    assert copy_run(goal, str(tmp_path / "back")) == names
    assert files(tmp_path / "back") == {name: name.encode() for name in names}
    with pytest.raises(UserError, match="not empty"):
        copy_run(goal, str(tmp_path / "back"))


def test_an_interrupted_copy_is_no_finished_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    goal, system = f"memory://{tmp_path.name}/there", fsspec.filesystem("memory")
    copy_run(str(run), goal)
    honest = type(system).put_file

    def cut(self, source, to, **more):
        if to.endswith("status.json"):
            raise OSError("the network is gone")
        return honest(self, source, to, **more)

    monkeypatch.setattr(type(system), "put_file", cut)
    with pytest.raises(UserError, match=r"the network is gone\. Run the same command again"):
        copy_run(str(run), goal)
    with pytest.raises(UserError, match="no finished run"):
        copy_run(goal, str(tmp_path / "back"))
    assert not (tmp_path / "back").exists()


def test_other_things_are_never_written_over(run: Path, tmp_path: Path):
    goal = f"memory://{tmp_path.name}/there"
    copy_run(str(run), goal)
    (run / "run_id").write_text("another")
    with pytest.raises(UserError, match="holds something else"):
        copy_run(str(run), goal)
    (run / "verdict.json").unlink()
    with pytest.raises(UserError, match="only finished ones"):
        copy_run(str(run), goal + "2")


@pytest.mark.parametrize("pair", [("a", "b"), ("s3://a", "gs://b"), ("nosuchscheme://a", "b")])
def test_what_cannot_be_copied_is_refused(pair: tuple[str, str]):
    with pytest.raises(OptionError):
        copy_run(*pair)


@pytest.mark.parametrize(
    ("place", "remote"),
    [("s3://b/r", True), ("s3:/b/r", True), ("gs:/r", True), ("C:/runs", False), ("runs/a", False), ("/a:b", False)],
)
def test_addresses_are_told_from_paths(place: str, remote: bool):
    assert is_remote(place) is remote


def test_a_run_that_would_work_there_is_refused(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text("text,label\n" + "".join(f"row {k},{'ab'[k % 2]}\n" for k in range(80)))
    data = ["run", "--data", "d.csv", "--model", "fake", "--no-progress"]
    for option in ("--out", "--cache"):
        assert main([*data, option, "s3://bucket/run"]) == 2
        message = capsys.readouterr().err
        assert f"{option} s3://bucket/run" in message
        assert "whichway copy" in message
    assert not (tmp_path / "s3:").exists()
    with pytest.raises(OptionError):
        refuse_remote("--out", Path("gs://x"))
