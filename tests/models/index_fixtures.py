"""An index of local wheels, an empty model cache and a working folder for each test; no network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from whichway.errors import ModelError
from whichway.models import package_index


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty model cache; the working folder is empty as well."""
    folder = tmp_path / "cache"
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("WHICHWAY_MODELS", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture
def index(tmp_path: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels in the place of pip, which takes a second to start."""
    folder = tmp_path / "index"
    folder.mkdir()

    def copy(package: str, place: Path, poll: Callable[[], None]) -> None:
        (place / "wheels").mkdir()
        name, _, version = package.partition("==")
        wheel = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        if not wheel.exists():
            raise ModelError(f"no {package}")
        shutil.copyfile(wheel, place / "wheels" / wheel.name)

    monkeypatch.setattr(package_index, "_run_pip", copy)
    return folder


@pytest.fixture
def pip_index(tmp_path: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which pip looks for wheels, and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return folder
