"""Lint from the command line: read files, leave out what is accepted, print; exit code 1 when errors are left."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.app.lint_prompts import Known, Report, report_of, world
from whichway.app.prompt_files import read_drafts
from whichway.cli.linting import show
from whichway.errors import DiskError
from whichway.lint import Draft, Finding, rules
from whichway.lint import lint as find
from whichway.lint.sarif import sarif
from whichway.lint.suppress import baseline, check_ids, fresh, read_baseline, suppressions
from whichway.nouns import to_json


@dataclass(frozen=True, slots=True)
class Output:
    """What becomes of the findings."""

    ignore: tuple[str, ...] = ()
    baseline: Path | None = None
    write_baseline: Path | None = None
    sarif: Path | None = None
    json: bool = False


def check(files: Sequence[Path], known: Known, output: Output) -> int:
    """Lint files and print; the exit code is 1 when an error is left.

    Raises:
        UserError: a file, the task or an option is at fault.
    """
    left_out = [word.strip().upper() for words in output.ignore for word in words.split(",") if word.strip()]
    check_ids(left_out, rules())
    drafts = [draft for file in files for draft in read_drafts(file)]
    with world(known) as seen:
        raw = [(draft, find(seen.scene(draft), left_out)) for draft in drafts]
        kept, dropped = _kept(raw, output)
        reports = [report_of(seen, draft, found) for draft, found in kept]
    _write(reports, output)
    _print(reports, dropped, output)
    return int(any(f.severity == "error" for report in reports for f in report.found))


def _kept(raw: Sequence[tuple[Draft, list[Finding]]], output: Output) -> tuple[list[tuple[Draft, list[Finding]]], int]:
    """Findings without those that files suppress or a baseline accepts, and how many that were."""
    accepted: Counter[str] = Counter()
    if output.baseline:
        from whichway.tasks.read import decode

        accepted = read_baseline(decode(output.baseline), str(output.baseline))
    kept = []
    for draft, found in raw:
        ignored = suppressions(draft.source, rules())
        kept.append((draft, fresh([f for f in found if not ignored.holds(f)], accepted)))
    return kept, sum(len(found) for _, found in raw) - sum(len(found) for _, found in kept)


def _write(reports: Sequence[Report], output: Output) -> None:
    found = [(_uri(report.draft.path), f) for report in reports for f in report.found]
    texts = {output.sarif: sarif(found, rules()), output.write_baseline: baseline([f for _, f in found])}
    for path, text in texts.items():
        if path is None:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DiskError(f"{path} cannot be written: {error.strerror}. Give another place.") from None


def _uri(path: str) -> str:
    """A path as SARIF wants it: relative to here where it lies below, with forward slashes."""
    relative = os.path.relpath(path)
    return Path(path if relative.startswith("..") else relative).as_posix()


def _print(reports: Sequence[Report], dropped: int, output: Output) -> None:
    if output.json:
        print(json.dumps({"findings": [line for report in reports for line in _lines(report)]}, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for report in reports:
        show.show(console, report.draft.path, report.draft.source, report.found, report.effects)
    console.print(show.summary([f for report in reports for f in report.found], dropped))


def _lines(report: Report) -> Iterator[dict[str, Any]]:
    for finding in report.found:
        effect = report.effects.get(finding.fingerprint)
        names = [name for name in Finding.__slots__ if name != "edit"]
        facts = {name: getattr(finding, name) for name in names}
        edit = finding.edit.what if finding.edit else None
        yield {"path": report.draft.path, **facts, "edit": edit, "measured": to_json(effect) if effect else None}
