"""Faults that exports have had in the field, planted one at a time into a folder that was exported cleanly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from ship_kit import TUNED, contest, data

import whichway as ww
from whichway.app.configure import backends
from whichway.ship import CheckOptions, pick, ship
from whichway.ship.forms import Export, known
from whichway.ship.parity import ParityReport, Reference, check
from whichway.ship.shipped_folder import MADE_BY
from whichway.ship.written_files import MANIFEST, digests, write_file

WAYS: dict[str, dict[str, Any]] = {
    "tune_lora": {**TUNED["tune_lora"], "epochs": 4, "rate": 0.03},
    "tune_head": {**TUNED["tune_head"], "epochs": 4, "rate": 0.03},
    "prompt_plain": {},
}
Change = Callable[[Path, "Places"], None]


@dataclass(frozen=True, slots=True)
class Places:
    """What a fault is made of."""

    base: Path  # the base model's folder
    other: Path  # another model of the same shape, with another tokenizer
    stale: Mapping[str, Any]  # messages.json of another prompt


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    name: str
    form: str  # into which it is planted
    way: str
    plant: Change
    sign: bool = True  # whether the manifest is written anew, so that the digests do not give it away
    kind: str = "llama"  # of tiny model


def sign(folder: Path) -> None:
    """Make the manifest fit the folder's files, as an exporter with this fault would have."""
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["made_by"] == MADE_BY
    write_file(folder / MANIFEST, {**manifest, "files": digests(folder)})


def _wrong_template(folder: Path, places: Places) -> None:
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text().replace("<|im_start|>", "### ").replace("<|im_end|>", ""))


def _missing_bos(folder: Path, places: Places) -> None:
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text().replace("{{ bos_token }}", ""))


def _eos_untrained(folder: Path, places: Places) -> None:
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text())
    write_file(file, {**settings, "eos_token_id": 1})  # the end of a text, not of a turn


def _merge_error(folder: Path, places: Places) -> None:
    """The adapter is added twice."""
    tuned, base = load_file(folder / "model.safetensors"), load_file(places.base / "model.safetensors")
    wrong = {n: t + (t - base[n].float()) if n in base else t for n, t in tuned.items()}
    save_file(wrong, folder / "model.safetensors", {"format": "pt"})


def _adapter_off(folder: Path, places: Places) -> None:
    file = folder / "adapter_model.safetensors"
    off = {n: torch.zeros_like(t) if "lora_B" in n else t for n, t in load_file(file).items()}
    save_file(off, file, {"format": "pt"})


def _panes_swapped(folder: Path, places: Places) -> None:
    """The base is served under the trained model's name."""
    shutil.copyfile(places.base / "model.safetensors", folder / "model.safetensors")


def _quantisation_broken(folder: Path, places: Places) -> None:
    """The scales of neighbouring blocks are swapped in every matrix of the 8-bit file."""
    import numpy as np

    from whichway.models.gguf.header import read

    file = folder / "model-Q8_0.gguf"
    for info in read(file).tensors.values():
        if info.kind == "Q8_0":
            blocks = np.memmap(file, np.uint8, "r+", info.start, (info.size // 34, 34))
            scales = blocks[:, :2].copy()
            blocks[:, :2] = np.roll(scales, 7, axis=0)
            blocks.flush()


def _label_order(folder: Path, places: Places) -> None:
    file = folder / "labels.json"
    labels = json.loads(file.read_text())
    write_file(file, [*labels[1:], labels[0]])


def _other_tokenizer(folder: Path, places: Places) -> None:
    shutil.copyfile(places.other / "tokenizer.json", folder / "tokenizer.json")


def _stale_prompt(folder: Path, places: Places) -> None:
    write_file(folder / "messages.json", dict(places.stale))


def _wrong_base(folder: Path, places: Places) -> None:
    file = folder / "adapter_config.json"
    write_file(file, {**json.loads(file.read_text()), "base_model_name_or_path": str(places.other)})


def _truncated(folder: Path, places: Places) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-2000])


def _changed_after(folder: Path, places: Places) -> None:
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")


FAULTS = (
    Fault("wrong template", "merged", "tune_lora", _wrong_template),
    Fault("missing BOS", "peft", "tune_lora", _missing_bos, kind="bos"),
    Fault("EOS untrained", "merged", "tune_lora", _eos_untrained),
    Fault("merge error", "merged", "tune_lora", _merge_error),
    Fault("adapter off", "peft", "tune_lora", _adapter_off),
    Fault("panes swapped", "merged", "tune_lora", _panes_swapped),
    Fault("quantisation broken", "gguf", "tune_lora", _quantisation_broken),
    Fault("label order changed", "peft", "tune_head", _label_order),
    Fault("tokenizer of another model", "peft", "tune_lora", _other_tokenizer),
    Fault("stale prompt", "merged", "prompt_plain", _stale_prompt),
    Fault("wrong base", "peft", "tune_lora", _wrong_base),
    Fault("truncated file", "merged", "tune_lora", _truncated),
    Fault("changed after it was written", "peft", "tune_lora", _changed_after, sign=False),
)


class FaultBench:
    """Contests on tiny models, exports of their winners, and the check of each with and without a fault.

    Args:
        tiny: gives the folder of a tiny model by name.
        place: an empty folder.
        python: one that has llama-cpp-python; None: GGUF files are not started.
    """

    def __init__(self, tiny: Callable[[str], Path], place: Path, python: Path | None) -> None:
        self.tiny, self.place = tiny, place
        self.options = CheckOptions(rows=12, python=python)
        self.backends = backends()
        self._runs: dict[str, ww.Run] = {}

    def run(self, kind: str) -> ww.Run:
        """The contest on a tiny model."""
        if kind not in self._runs:
            folder = self.place / kind
            folder.mkdir()
            self._runs[kind] = contest(data(folder), self.tiny(kind), WAYS)
        return self._runs[kind]

    def exported(self, kind: str, way: str, form: str) -> tuple[Path, Reference]:
        """A clean export, not checked yet, and what was measured."""
        run, out = self.run(kind), self.place / f"{kind}-{way}-{form}"
        if not out.exists():
            ship(run, out, way=way, backends=self.backends, forms=(form,))
        return out, Reference(Export(pick(run, way=way), run, self.backends), self.options)

    def check(self, form: str, folder: Path, reference: Reference) -> list[ParityReport]:
        """The reports on a folder."""
        return check(known()[form], folder, reference)

    def reports(self, fault: Fault) -> tuple[list[ParityReport], list[ParityReport]]:
        """The reports on the clean export, and on the same with the fault."""
        clean, reference = self.exported(fault.kind, fault.way, fault.form)
        first = self.check(fault.form, clean, reference)
        place = self.place / f"fault-{fault.name.replace(' ', '-')}"
        shutil.copytree(clean, place)
        fault.plant(place, self._places(fault.kind))
        if fault.sign:
            sign(place)
        return first, self.check(fault.form, place, reference)

    def _places(self, kind: str) -> Places:
        prompt, _ = self.exported(kind, "tune_lora", "prompt")
        stale = json.loads((prompt / "messages.json").read_text())
        turns = [{**turn, "content": turn["content"].replace("team", "department")} for turn in stale["messages"]]
        turns[0]["content"] += " Be brief."
        return Places(self.tiny(kind), self._other(kind), {**stale, "messages": turns})

    def _other(self, kind: str) -> Path:
        """A model of the same shape with other weights, and a tokenizer that learned other words."""
        place = self.place / f"other-{kind}"
        if not place.exists():
            shutil.copytree(self.tiny(kind), place)
            weights = load_file(place / "model.safetensors")
            save_file(
                {n: t.flip(0).contiguous() for n, t in weights.items()}, place / "model.safetensors", {"format": "pt"}
            )
            tokenizer = json.loads((place / "tokenizer.json").read_text())
            tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:10]
            (place / "tokenizer.json").write_text(json.dumps(tokenizer))
        return place
