"""Write the shipped folder: made beside its place, renamed when whole; equal bytes for an equal run."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import whichway
from whichway.contracts import Backend
from whichway.errors import DiskError, UserError
from whichway.nouns import Candidate, to_json
from whichway.prompts.nearest import embedder_of
from whichway.prompts.template import placeholder
from whichway.runs.run import Run
from whichway.ship.card import card
from whichway.ship.prompts import prompt_files, request_body
from whichway.ship.source import ShipSource, pick
from whichway.ship.standalone_encoder import FOLDER
from whichway.training_kinds import KINDS

CHAT_TEXT = Path(whichway.__file__).parent / "engine" / "model" / "chat_text.py"  # shipped as it is, beside use.py
MADE_BY = "whichway ship"
ENCODER_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model")


@dataclass(frozen=True, slots=True)
class Shipped:
    """What was written."""

    folder: Path
    candidate: Candidate
    files: tuple[str, ...]


def ship(
    run: Run | Path,
    out: Path,
    candidate: str | None = None,
    way: str | None = None,
    backends: Mapping[str, Backend] | None = None,
) -> Shipped:
    """Write a candidate of a finished run, by default the winner, as a folder.

    Args:
        run: the run, or its folder.
        out: the folder to write; replaced when an earlier `ship` made it, refused when it is someone else's.
        candidate: a candidate's id instead of the winner.
        way: a way's best candidate instead of the winner.
        backends: name -> backend, for the encoder that chooses a prompt's shots or reads for a head.

    Raises:
        UserError: no finished run, no such candidate, or `out` is not ours to replace.
        ModelError: the prompt's encoder is not there any more.
        DiskError: `out` cannot be written.
    """
    source = pick(run, candidate, way)
    encoder = _encoder(source, backends or {})
    refuse_foreign(out)
    temporary = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _fill(temporary, source)
        if encoder is not None:
            place = FOLDER if source.asks else trained_place(source.candidate.weights.kind)
            _copy_encoder(encoder, temporary / place)
        _write(temporary / "manifest.json", manifest(source, _digests(temporary)))
        _swap(temporary, out)
    except OSError as error:
        full = "Free some space, or give" if error.errno == errno.ENOSPC else "Give"
        raise DiskError(f"{out} cannot be written: {error}. {full} another folder with --out.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    files = tuple(sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()))
    return Shipped(out, source.candidate, files)


def refuse_foreign(out: Path) -> None:
    """Check that a folder may be replaced: absent, empty, or wholly made by `ship`.

    Raises:
        UserError: it is not.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out} is no folder; nothing was written. Give another place with --out.")
    if not out.exists() or not any(out.iterdir()):
        return
    ours = _listed(out)
    foreign = sorted(
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if not path.is_dir() and path.relative_to(out).as_posix() not in ours
    )
    if foreign:
        raise UserError(
            f"{out} holds '{foreign[0]}', which `whichway ship` did not write; nothing was changed. "
            "Give another folder with --out, or move that file away."
        )


def _listed(out: Path) -> set[str]:
    """The files that an earlier `ship` wrote there, by its manifest; none when there is no manifest of ours."""
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        return {"manifest.json", *manifest["files"]} if manifest["made_by"] == MADE_BY else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def trained_place(kind: str) -> str:
    """The folder inside the shipped one where a trained part of this kind lies."""
    return KINDS[kind].storage


def _fill(folder: Path, source: ShipSource) -> None:
    candidate = source.candidate
    if source.asks:
        for name, content in prompt_files(candidate).items():
            _write(folder / name, content)
        if source.one_request:
            _write(folder / "request.json", request_body(candidate, source.labels))
    if source.stands_alone:
        program = "standalone_classifier.py" if candidate.weights.backend == "encoder" else "standalone.py"
        _write(folder / "use.py", Path(__file__).with_name(program).read_text(encoding="utf-8"))
        if program == "standalone.py":
            _write(folder / "chat_text.py", CHAT_TEXT.read_text(encoding="utf-8"))
    if source.adapter is not None:
        place = folder / trained_place(candidate.weights.kind)
        # the rows that prove an adapter live at load stay in the run folder: what is shipped should not quote the data
        rows = shutil.ignore_patterns("live.json")
        shutil.copytree(source.adapter, place, copy_function=shutil.copyfile, ignore=rows)
    _write(folder / "README.md", card(source))


def _encoder(source: ShipSource, backends: Mapping[str, Backend]) -> Path | None:
    """The folder of the encoder that goes along: that which chooses shots, or that which a head stands on."""
    candidate = source.candidate
    weights = candidate.prompt.encoder if source.asks else None
    kind = KINDS.get(candidate.weights.kind)
    weights = candidate.weights if kind is not None and kind.on_base else weights
    return None if weights is None else embedder_of(backends, weights).files(weights)


def _copy_encoder(encoder: Path, place: Path) -> None:
    """What transformers reads of an encoder: its configuration, tokenizer and weights, no pickles, no code."""
    place.mkdir(exist_ok=True)
    for file in sorted(path for pattern in ENCODER_FILES for path in encoder.glob(pattern)):
        if file.is_file():
            shutil.copyfile(file, place / file.name)


def _write(path: Path, content: Any) -> None:
    text = (
        content
        if isinstance(content, str)
        else json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    )
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write(text)


def _digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in paths}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(source: ShipSource, files: Mapping[str, str]) -> dict[str, Any]:
    """What the folder is, where it comes from, and the digest of each file."""
    candidate, verdict = source.candidate, source.verdict
    return {
        "made_by": MADE_BY,
        "format": 1,
        "version": whichway.__version__,
        "candidate": candidate.id,
        "way": candidate.way,
        "seed": candidate.seed,
        "weights": to_json(candidate.weights),
        "decoding": to_json(candidate.decoding),
        "labels": list(source.labels),
        "listed": list(candidate.prompt.labels),
        "fields": list(source.fields),
        **({"conversation": True} if source.conversation else {}),
        "placeholder": placeholder(candidate.prompt),
        "task": source.plan["task"],
        "plan_sha256": source.plan_sha256,
        "splits": source.plan["splits"],
        "verdict": {"answer": verdict.answer, "choice": verdict.choice, "candidate": verdict.candidate},
        "files": dict(files),
    }


def _swap(temporary: Path, out: Path) -> None:
    """Put the new folder in place; the old one is away only between two renames."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.replace(old)
    temporary.replace(out)
    shutil.rmtree(old, ignore_errors=True)
