"""One function turns a user's word into a model folder: shelf names, folders, GGUF files, stores of other programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from models_kit import CONFIG, FILES, entry, folder_source, shelf_file, toy

from whichway import embedded, models
from whichway.errors import DataError, ModelError
from whichway.models import converted, fetch, model_cache, resolve, shelf, stores
from whichway.models.speed import of, record

pytest_plugins = ("index_fixtures",)


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """GGUF files that were converted, by a conversion that only copies."""
    found: list[Path] = []

    def convert(file: Path, folder: Path) -> None:
        found.append(file)
        folder.mkdir()
        (folder / "config.json").write_bytes(CONFIG)
        shutil.copyfile(file, folder / "model.safetensors")

    monkeypatch.setattr(converted, "convert", convert)
    return found


def model_folder(place: Path) -> Path:
    """A folder that looks like a model."""
    place.mkdir(parents=True)
    (place / "config.json").write_bytes(CONFIG)
    (place / "model.safetensors").write_bytes(b"weights")
    return place


def test_the_shelf_that_ships_is_sound(cached: Path) -> None:
    found = shelf.load()
    assert found.default in found.entries
    assert found.entries[found.encoder].kind == "encoder"
    assert models.default() == "smollm2" == models.name_of("")
    assert models.default_encoder() == "minilm"
    assert found.entries["gemma3-270m"].terms == "gemma"
    for made in found.entries.values():
        assert made.built_in or all(source.sha256 or source.files for source in made.sources if source.packages)
    first, second, third = found.entries["minilm"].sources
    assert first.content == second.content == third.content  # the same files, wherever they come from


def test_a_folder_a_shelf_name_and_the_default(cached: Path, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    assert models.find(str(folder)) == models.here(str(folder)) == folder
    assert models.find("embedded") == embedded.path()
    for word in ("", "smollm2"):
        assert models.here(word) is None
        with pytest.raises(ModelError, match=r"93 MB, licence Apache-2\.0\): whichway models fetch smollm2.*embedded"):
            models.find(word)
    with pytest.raises(ModelError, match="whichway models fetch gemma3-270m --accept gemma"):
        models.find("gemma3-270m")


def test_a_shelf_name_comes_before_a_folder_of_that_name(cached: Path) -> None:
    model_folder(Path("smollm2"))
    assert models.here("smollm2") is None
    assert models.find("./smollm2") == Path("smollm2")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("rows.csv", "rows.csv is a file; a model is a folder"),
        ("missing.gguf", "There is no file missing.gguf"),
        ("no/such/folder", "There is no folder no/such/folder"),
        ("smollm", "Did you mean 'smollm2'"),
        ("nobody/nothing", "There is no folder nobody/nothing, and the hub cannot be reached"),
    ],
)
def test_words_that_mean_nothing(word: str, message: str, cached: Path) -> None:
    Path("rows.csv").write_text("a,b")
    with pytest.raises(ModelError, match=message):
        models.find(word)


def test_a_gguf_file_is_converted_once(cached: Path, conversions: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path("Mine.GGUF")
    file.write_bytes(b"GGUF one")
    assert models.here("Mine.GGUF") is None
    assert resolve.to_convert("Mine.GGUF") == file
    folder = models.find("Mine.GGUF")
    assert (folder / "model.safetensors").read_bytes() == b"GGUF one"
    assert models.find("./Mine.GGUF") == models.here("Mine.GGUF") == folder
    assert resolve.to_convert("Mine.GGUF") is None
    assert conversions == [file]
    file.write_bytes(b"GGUF two, longer")  # another content is another model
    assert models.here("Mine.GGUF") is None
    assert models.find("Mine.GGUF") != folder
    monkeypatch.setattr(converted, "converter", lambda: 99)  # another conversion may give other numbers
    assert models.here("Mine.GGUF") is None
    assert len(model_cache.names()) == 2


def test_a_conversion_that_fails_leaves_nothing(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: Path, folder: Path) -> None:
        folder.mkdir()
        raise ModelError("no such architecture")

    monkeypatch.setattr(converted, "convert", fail)
    Path("a.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="no such architecture"):
        models.find("a.gguf")
    assert models.here("a.gguf") is None
    assert not list(cached.glob("gguf-*"))
    assert not list((cached / ".work").iterdir())


def manifest(store: Path, name: str, *layers: tuple[str, str]) -> None:
    """A manifest as Ollama writes it."""
    path = store / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [{"mediaType": f"application/vnd.ollama.image.{kind}", "digest": blob} for kind, blob in layers]
    path.write_text(json.dumps({"schemaVersion": 2, "layers": found}))


def test_ollamas_store(cached: Path, conversions: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "ollama"
    monkeypatch.setenv("OLLAMA_MODELS", str(store))
    with pytest.raises(ModelError, match="Ollama has no models in"):
        models.find("ollama:llama3.2")
    (store / "blobs").mkdir(parents=True)
    (store / "blobs" / "sha256-aa").write_bytes(b"GGUF a")
    (store / "blobs" / "sha256-bb").write_bytes(b"GGUF bb")
    manifest(store, "registry.example/library/llama3.2/latest", ("model", "sha256:aa"), ("license", "sha256:cc"))
    manifest(store, "registry.example/library/llama3.2/1b", ("template", "sha256:dd"), ("model", "sha256:bb"))
    manifest(store, "registry.example/jane/tuned/latest", ("model", "sha256:aa"), ("adapter", "sha256:bb"))
    manifest(store, "hub.example/joe/qwen-GGUF/Q4_K_M", ("model", "sha256:ee"))
    assert {name for name, _ in stores.ollama()} == {
        "llama3.2:latest", "llama3.2:1b", "jane/tuned:latest", "hub.example/joe/qwen-GGUF:Q4_K_M",
    }  # fmt: skip
    latest, small = models.find("ollama:llama3.2"), models.find("ollama:llama3.2:1b")
    assert (latest / "model.safetensors").read_bytes() == b"GGUF a"
    assert (small / "model.safetensors").read_bytes() == b"GGUF bb"
    assert [file.name for file in conversions] == ["sha256-aa", "sha256-bb"]
    for word, message in {
        "ollama:jane/tuned": "adapter",
        "ollama:hub.example/joe/qwen-GGUF:Q4_K_M": "ollama pull",
        "ollama:llama3.3": r"Did you mean 'llama3\.2",
    }.items():
        with pytest.raises(ModelError, match=message):
            models.find(word)
    (store / "manifests/registry.example/library/llama3.2/1b").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        models.find("ollama:llama3.2:1b")


def test_ollamas_default_place(cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ollama/models").mkdir(parents=True)
    assert stores.ollama_folder() == tmp_path / ".ollama/models"


def test_lm_studios_folder(
    cached: Path, conversions: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelError, match="LM Studio has no models in"):
        models.find("lmstudio:anything")
    chosen = tmp_path / "elsewhere"
    (tmp_path / ".lmstudio").mkdir()
    (tmp_path / ".lmstudio/settings.json").write_text(json.dumps({"downloadsFolder": str(chosen)}))
    folder = chosen / "joe" / "tiny-GGUF"
    folder.mkdir(parents=True)
    names = ["tiny-Q4.gguf", "tiny-Q8.gguf", "mmproj-tiny.gguf", "big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]
    for name in names:
        (folder / name).write_bytes(f"GGUF {name}".encode())
    plain = model_folder(tmp_path / ".lmstudio/models/ann/plain")
    assert [name.split("/")[-1] for name, _ in stores.lmstudio()] == [names[3], *names[:2], "plain"]
    assert models.find("lmstudio:ann/plain") == models.find("lmstudio:plain") == plain
    for word in ("lmstudio:tiny-Q4", "lmstudio:joe/tiny-GGUF/tiny-Q4.gguf"):
        assert (models.find(word) / "model.safetensors").read_bytes() == b"GGUF tiny-Q4.gguf"
    with pytest.raises(ModelError, match=r"several models that 'tiny-GGUF' may mean: .*tiny-Q4.*tiny-Q8"):
        models.find("lmstudio:tiny-GGUF")


def test_a_shelf_of_ones_own_is_added(cached: Path, index: Path) -> None:
    toy(index, Path())
    assert {"toy", "smollm2", "embedded"} <= set(shelf.load().entries)
    assert models.default() == "smollm2"
    Path("models.yaml").write_text(Path("models.yaml").read_text().replace('"models"', '"default": "toy", "models"'))
    assert models.default() == "toy"
    fetch.fetch(shelf.load().need("toy"))
    assert models.find("") == cached / "toy" / "model"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"packages": ["toy"]}, "models.toy.sources.0.packages"),
        ({"packages": []}, "either packages or a hub"),
        ({"files": {"../../evil": "0" * 64}}, "leads out of its folder"),
        ({"folder": "/etc"}, "leads out of its folder"),
        ({"files": {"config.json": "abc"}}, "models.toy.sources.0.files.config.json"),
        ({"gguf": "a.gguf"}, "either a gguf file or files"),
        ({"mirror": "here"}, "models.toy.sources.0.mirror"),
    ],
)
def test_mistakes_in_a_shelf_file(change: dict[str, object], message: str, cached: Path) -> None:
    shelf_file(Path(), toy=entry(folder_source("toy-model") | change))
    with pytest.raises(DataError, match=message):
        shelf.load()


def test_a_models_file_of_another_program_is_left_alone(cached: Path) -> None:
    Path("models.yaml").write_text("version: 2\nsources: [a, b]\n")
    assert models.default() == "smollm2"
    Path("models.yaml").write_text("as_of: 2026-01-01\nmodels: {toy: {}}\n")
    with pytest.raises(DataError, match=r"models\.yaml: models\.toy"):
        models.default()


def test_removing_and_speeds(cached: Path, index: Path) -> None:
    toy(index, Path())
    fetch.fetch(shelf.load().need("toy"))
    size = model_cache.remove("toy")
    assert size >= sum(map(len, FILES.values()))
    assert models.here("toy") is None
    assert not (cached / "toy").exists()
    assert of("toy") is None
    record("toy", 0.0311, "prompt_plain", "support", 218)
    found = of("toy")
    assert found is not None
    assert (found.seconds_per_1000, found.way, found.rows) == (31.1, "prompt_plain", 218)
    (cached / "speed.json").write_text("{")
    assert of("toy") is None
