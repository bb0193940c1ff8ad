"""Write the shipped folder: made beside its place, checked, renamed when whole; equal bytes for an equal run."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import whichway
from whichway.contracts import Backend
from whichway.errors import DiskError, NotAsMeasured, UserError
from whichway.nouns import Candidate, Deferral, to_json
from whichway.prompts.template import placeholder
from whichway.runs.run import Run, as_run
from whichway.ship import forms as ship_forms
from whichway.ship import parity
from whichway.ship.card import card, overview
from whichway.ship.forms import Export, ShipForm
from whichway.ship.parity.parity_report import FILE as REPORT
from whichway.ship.parity.parity_report import ParityReport
from whichway.ship.source import ShipSource, pick
from whichway.ship.written_files import MANIFEST, digests, program, write_file

MADE_BY = "whichway ship"


@dataclass(frozen=True, slots=True)
class Shipped:
    """What was written, and what its check gave."""

    folder: Path
    candidate: Candidate
    files: tuple[str, ...]
    forms: tuple[str, ...] = (ship_forms.DEFAULT,)
    left_out: Mapping[str, str] = field(default_factory=dict)  # of "all": form -> why it does not fit
    checks: tuple[ParityReport, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether no check failed; one that could not be made is none that failed."""
        return all(report.status != "failed" for report in self.checks)

    def raise_if_unsound(self) -> Shipped:
        """Itself.

        Raises:
            NotAsMeasured: a check failed.
        """
        failed = [report for report in self.checks if report.status == "failed"]
        if failed:
            raise NotAsMeasured(
                f"{self.folder} does not answer as what was measured: "
                + "; ".join(f"{report.name}: {', '.join(report.problems)}" for report in failed)
                + ". The folder was written so that you can look at it; do not use it."
            )
        return self


def ship(
    run: Run | Path,
    out: Path,
    candidate: str | None = None,
    way: str | None = None,
    backends: Mapping[str, Backend] | None = None,
    forms: Sequence[str] = (ship_forms.DEFAULT,),
    check: parity.CheckOptions | None = None,
) -> Shipped:
    """Write a candidate of a finished run, by default the winner, in one form or several.

    Args:
        run: the run, or its folder.
        out: the folder to write; replaced when an earlier `ship` made it, refused when it is someone else's.
        candidate: a candidate's id instead of the winner.
        way: a way's best candidate instead of the winner.
        backends: name -> backend; they know where encoders lie, and answer for the check.
        forms: names of forms, or "all". One is written into `out`, each of several into a folder of its name.
        check: start what was written in its own runtime and compare its answers with the recorded ones; None: do not.

    Raises:
        UserError: no finished run, no such candidate, a form that does not fit it, or `out` is not ours to replace.
        ModelError: base or encoder is not there any more.
        DiskError: `out` cannot be written.
    """
    run = as_run(run)
    export = Export(pick(run, candidate, way), run, backends or {})
    chosen, left_out = ship_forms.chosen(forms, export.source)
    refuse_foreign(out)
    temporary = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        checks = _fill(temporary, export, chosen, len(forms) > 1 or ship_forms.ALL in forms, check)
        _swap(temporary, out)
    except OSError as error:
        full = "Free some space, or give" if error.errno == errno.ENOSPC else "Give"
        raise DiskError(f"{out} cannot be written: {error}. {full} another folder with --to.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    files = tuple(sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()))
    return Shipped(out, export.source.candidate, files, tuple(form.NAME for form in chosen), left_out, checks)


def _fill(
    folder: Path, export: Export, forms: Sequence[ShipForm], several: bool, check: parity.CheckOptions | None
) -> tuple[ParityReport, ...]:
    """Write each form, and check it."""
    source, reports = export.source, list[ParityReport]()
    reference = parity.Reference(export, check) if check is not None else None
    for form in forms:
        place = folder / form.NAME if several else folder
        place.mkdir(exist_ok=True)
        staged = _write_stages(place, export, form, check) if source.next_stage else None
        if staged is None:
            form.write(export, place)
        write_file(place / "README.md", card(source, form))
        write_file(place / MANIFEST, manifest(source, form.NAME, digests(place)))
        if reference is not None:
            parts = parity.check(form, place, reference) if staged is None else staged
            if staged is not None and source.stands_alone:
                parts = [*parts, parity.check_joint(form.NAME, place, reference)]
            reports += parts
            write_file(place / REPORT, [part.stored for part in parts])
            write_file(place / MANIFEST, manifest(source, form.NAME, digests(place)))
    if several:
        write_file(folder / "README.md", overview(source, forms))
        write_file(folder / MANIFEST, {**manifest(source, "", digests(folder)), "forms": [f.NAME for f in forms]})
    return tuple(reports)


def _write_stages(
    folder: Path, export: Export, form: ShipForm, check: parity.CheckOptions | None
) -> list[ParityReport]:
    """A cascade: each stage as a whole folder of its own, checked by itself, and what asks one after the other."""
    reports: list[ParityReport] = []
    for number, stage in enumerate(export.source.stages, 1):
        own, name = replace(export, source=stage), f"stage_{number}"
        (folder / name).mkdir()
        form.write(own, folder / name)
        write_file(folder / name / MANIFEST, manifest(stage, form.NAME, digests(folder / name)))
        if check is not None:
            parts = parity.check(form, folder / name, parity.Reference(own, check))
            reports += [replace(part, part=f"{name} {part.part}".strip()) for part in parts]
    if export.source.stands_alone:
        write_file(folder / "use.py", program("standalone_cascade.py"))
    return reports


def refuse_foreign(out: Path) -> None:
    """Check that a folder may be replaced: absent, empty, or wholly made by `ship`.

    Raises:
        UserError: it is not.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out} is no folder; nothing was written. Give another place with --to.")
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
            "Give another folder with --to, or move that file away."
        )


def _listed(out: Path) -> set[str]:
    """The files that an earlier `ship` wrote there, by its manifest; none when there is no manifest of ours."""
    try:
        stored = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        return {MANIFEST, *stored["files"]} if stored["made_by"] == MADE_BY else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def manifest(source: ShipSource, form: str, files: Mapping[str, str]) -> dict[str, Any]:
    """What the folder is, where it comes from, and the digest of each file."""
    candidate, verdict = source.candidate, source.verdict
    return {
        "made_by": MADE_BY,
        "format": 1,
        "version": whichway.__version__,
        **({"form": form} if form not in ("", ship_forms.DEFAULT) else {}),
        "candidate": candidate.id,
        "way": candidate.way,
        "seed": candidate.seed,
        "weights": to_json(candidate.weights),
        "decoding": to_json(candidate.decoding),
        "labels": list(source.labels),
        "listed": list(candidate.prompt.labels),
        "fields": list(source.fields),
        **({"conversation": True} if source.conversation else {}),
        **({"deferrals": [_numbers(rule) for rule in candidate.deferrals]} if candidate.deferral else {}),
        "placeholder": placeholder(candidate.prompt),
        "task": source.plan["task"],
        "plan_sha256": source.plan_sha256,
        "splits": source.plan["splits"],
        "verdict": {"answer": verdict.answer, "choice": verdict.choice, "candidate": verdict.candidate},
        "files": dict(files),
    }


def _numbers(rule: Deferral) -> dict[str, float]:
    return {"least": rule.least, "slope": rule.slope, "intercept": rule.intercept}


def _swap(temporary: Path, out: Path) -> None:
    """Put the new folder in place; the old one is away only between two renames."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.replace(old)
    temporary.replace(out)
    shutil.rmtree(old, ignore_errors=True)
