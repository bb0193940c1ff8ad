"""What cannot be converted is refused with the reason; what was interrupted leaves nothing that looks finished."""

import errno
import json
import signal
import subprocess
import sys
import time

import gguf_writer
import numpy as np
import pytest

from whichway.errors import DiskError, ModelError
from whichway.models.gguf import convert, is_gguf
from whichway.models.gguf.parameters import pieces

conversion = sys.modules[convert.__module__]  # the module that the function has its name from


@pytest.fixture(scope="module")
def small():
    return gguf_writer.module("llama")


@pytest.fixture
def file(small, tmp_path):
    return gguf_writer.write(tmp_path / "m.gguf", small, "llama", gguf_writer.byte_level())


@pytest.fixture
def write(small, tmp_path):
    def make(**metadata):
        tokenizer = metadata.pop("tokenizer", None) or gguf_writer.byte_level()
        return gguf_writer.write(tmp_path / "m.gguf", small, "llama", tokenizer, **metadata)

    return make


def refused(file, match, error=ModelError):
    folder = file.parent / "model"
    with pytest.raises(error, match=match):
        convert(file, folder)
    left = [path for path in file.parent.iterdir() if path != file and path.suffix != ".lock"]
    assert left == []


def test_no_such_file(tmp_path):
    refused(tmp_path / "gone.gguf", "There is no file")


@pytest.mark.parametrize("content", [b"", b"GG", b"<!doctype html>", b"version https://git-lfs"])
def test_foreign_files(tmp_path, content):
    (tmp_path / "m.gguf").write_bytes(content)
    assert not is_gguf(tmp_path / "m.gguf")
    refused(tmp_path / "m.gguf", "not a GGUF file")


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.05, 0.3, 0.99])
def test_cut_off_anywhere(file, share):
    whole = file.read_bytes()
    file.write_bytes(whole[: max(4, int(len(whole) * share))])
    refused(file, "cut off.*Fetch it again")


def test_absurd_counts_do_not_fill_the_memory(file):
    whole = bytearray(file.read_bytes())
    whole[8:16] = (2**62).to_bytes(8, "little")
    file.write_bytes(whole)
    refused(file, "cut off")


def test_random_damage_is_an_error_of_ours_or_none(file):
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    for n in range(100):
        damaged = bytearray(whole)
        for at in [*rng.integers(4, 900, 2), *rng.integers(900, 9000, 2)]:  # metadata and vocabulary, tensor table
            damaged[at] = rng.integers(256)
        file.write_bytes(damaged)
        try:
            convert(file, file.parent / f"model{n}")
        except ModelError:
            assert not (file.parent / f"model{n}").exists()


@pytest.mark.parametrize(("version", "match"), [(1, "has version 1"), (99, "version 99"), (3 << 24, "big-endian")])
def test_other_versions(file, version, match):
    whole = bytearray(file.read_bytes())
    whole[4:8] = version.to_bytes(4, "little")
    file.write_bytes(whole)
    refused(file, match)


def test_unknown_architecture(write):
    file = write()
    whole = file.read_bytes()
    at = whole.index(b"llama", whole.index(b"general.architecture"))
    file.write_bytes(whole[:at] + b"mamba" + whole[at + 5 :])
    refused(file, "architecture 'mamba'; supported: gemma, gemma2")


def test_unknown_and_unreadable_tensor_types(file):
    whole = file.read_bytes()
    at = whole.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 16
    file.write_bytes(whole[:at] + (250).to_bytes(4, "little") + whole[at + 4 :])
    refused(file, "token_embd.weight is of the unknown type 250")
    file.write_bytes(whole[:at] + (24).to_bytes(4, "little") + whole[at + 4 :])  # int8
    refused(file, "token_embd.weight is of type I8, which cannot be read")


def test_variants_that_are_not_built(write):
    refused(write(**{"llama.expert_count": 8}), "llama.expert_count = 8, a variant")
    refused(write(**{"llama.rope.dimension_count": 8}), "rotates 8 of 16 dimensions")
    refused(write(**{"llama.rope.scaling.type": "dynamic"}), "scales positions by 'dynamic'")
    refused(write(**{"split.count": 3}), "one of 3 parts")
    refused(write(**{"llama.block_count": 3}), "no tensor for model.layers.2")
    refused(write(**{"llama.block_count": 1}), "announces 1 layers and holds more")
    refused(write(**{"llama.feed_forward_length": 95}), "ffn_gate.weight has the shape .96, 64.; its metadata say .95")
    refused(write(**{"llama.embedding_length": "wide"}), "metadata contradict each other")


def test_more_tokens_than_embeddings(write):
    tokenizer = gguf_writer.byte_level()
    tokenizer["tokenizer.ggml.tokens"] += ["one more"]
    tokenizer["tokenizer.ggml.token_type"] += [1]
    refused(write(tokenizer=tokenizer), "has 321 tokens and embeds 320")


def test_no_tokenizer(write):
    refused(write(tokenizer={"general.author": "x"}), "holds no tokenizer")


def test_tokenizers_that_cannot_be_built(write):
    refused(write(tokenizer=gguf_writer.byte_level(pre="qwen22")), "cuts text by 'qwen22'.*Did you mean 'qwen2'")
    refused(write(tokenizer=gguf_writer.byte_level(**{"ggml.model": "bert"})), "tokenizer of kind 'bert'")
    refused(write(tokenizer=gguf_writer.byte_level(**{"ggml.merges": None})), "without merges")
    refused(write(tokenizer=gguf_writer.byte_level(**{"ggml.merges": ["zz qq"]})), "cannot be built")


def test_a_full_disk(file, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "to_bfloat16", full)
        patch.setattr(conversion, "formats", lambda found: ["BF16"] * len(found))
        refused(file, "disk is full", DiskError)
    monkeypatch.setattr(conversion.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    refused(file, "needs 2[0-9] MB", DiskError)


def test_a_folder_of_something_else_is_left_alone(file):
    folder = file.parent / "model"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="was not made from this file"):
        convert(file, folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_twice_is_once(file, monkeypatch):
    folder = file.parent / "model"
    convert(file, folder)
    monkeypatch.setattr(conversion, "_write_beside", None)
    convert(file, folder)


def test_an_error_in_the_middle_leaves_nothing(file, monkeypatch):
    def broken(header, parameter):
        if "layers.1" in parameter.name:
            raise KeyboardInterrupt
        return pieces(header, parameter)

    monkeypatch.setattr(conversion, "pieces", broken)
    refused(file, None, KeyboardInterrupt)


SLOW = """
import sys, time
from pathlib import Path
from whichway.models.gguf import convert
conversion = sys.modules[convert.__module__]
pieces = conversion.pieces
def slow(header, parameter):
    if "layers.1" in parameter.name:
        time.sleep(60)
    return pieces(header, parameter)
conversion.pieces = slow
convert(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_conversion_leaves_nothing_that_looks_finished(file):
    folder = file.parent / "model"
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(file), str(folder)])
    try:
        for _ in range(600):
            if any(path.stat().st_size for path in file.parent.glob(".model.partial-*/model.safetensors")):
                break
            time.sleep(0.1)
        assert list(file.parent.glob(".model.partial-*"))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not folder.exists()
    convert(file, folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    assert not list(file.parent.glob(".model.partial-*"))


def test_two_processes_at_once(file):
    code = "import sys, pathlib; from whichway.models.gguf import convert; convert(*map(pathlib.Path, sys.argv[1:]))"
    folder = file.parent / "model"
    children = [subprocess.Popen([sys.executable, "-c", code, str(file), str(folder)]) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    assert (folder / "source.json").exists()
    assert not list(file.parent.glob(".model.partial-*"))
