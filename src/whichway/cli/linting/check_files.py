"""Lint from the command line: read files, leave out what is accepted, print; exit code 1 when errors are left."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.app.lint_prompts import LintOptions, Report, lint_context, report_of
from whichway.app.prompt_files import read_drafts
from whichway.cli.linting import show
from whichway.errors import DiskError
from whichway.lint import Draft, Finding, rules
from whichway.lint import lint as find
from whichway.lint.sarif import sarif
from whichway.lint.suppress import baseline, check_ids, fresh, read_baseline, suppressions
from whichway.nouns import to_json


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What becomes of the findings."""

    ignore: tuple[str, ...] = ()
    baseline: Path | None = None
    write_baseline: Path | None = None
    sarif: Path | None = None
    json: bool = False


def check(files: Sequence[Path], known: LintOptions, output: OutputOptions) -> int:
    """Lint files and print; the exit code is 1 when an error is left.

    Raises:
        UserError: a file, the task or an option is at fault.
    """
    left_out = [word.strip().upper() for words in output.ignore for word in words.split(",") if word.strip()]
    check_ids(left_out, rules())
    drafts = [draft for file in files for draft in read_drafts(file)]
    with lint_context(known) as context:
        raw = [(draft, find(context.scene(draft), left_out)) for draft in drafts]
        remaining, dropped = _without_accepted(raw, output)
        reports = [report_of(context, draft, findings) for draft, findings in remaining]
    _write(reports, output)
    _print(reports, dropped, output)
    return int(any(f.severity == "error" for report in reports for f in report.findings))


def _without_accepted(
    raw: Sequence[tuple[Draft, list[Finding]]], output: OutputOptions
) -> tuple[list[tuple[Draft, list[Finding]]], int]:
    """Findings without those that files suppress or a baseline accepts, and how many that were."""
    accepted: Counter[str] = Counter()
    if output.baseline:
        from whichway.tasks.read import decode

        accepted = read_baseline(decode(output.baseline), str(output.baseline))
    remaining = []
    for draft, findings in raw:
        ignored = suppressions(draft.source, rules())
        remaining.append((draft, fresh([f for f in findings if not ignored.holds(f)], accepted)))
    return remaining, sum(len(findings) for _, findings in raw) - sum(len(findings) for _, findings in remaining)


def _write(reports: Sequence[Report], output: OutputOptions) -> None:
    findings = [(_uri(report.draft.path), f) for report in reports for f in report.findings]
    texts = {output.sarif: sarif(findings, rules()), output.write_baseline: baseline([f for _, f in findings])}
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


def _print(reports: Sequence[Report], dropped: int, output: OutputOptions) -> None:
    if output.json:
        print(json.dumps({"findings": [line for report in reports for line in _lines(report)]}, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for report in reports:
        show.show(console, report.draft.path, report.draft.source, report.findings, report.effects)
    console.print(show.summary([f for report in reports for f in report.findings], dropped))


def _lines(report: Report) -> Iterator[dict[str, Any]]:
    for finding in report.findings:
        effect = report.effects.get(finding.fingerprint)
        names = [name for name in Finding.__slots__ if name != "edit"]
        facts = {name: getattr(finding, name) for name in names}
        edit = finding.edit.what if finding.edit else None
        yield {"path": report.draft.path, **facts, "edit": edit, "measured": to_json(effect) if effect else None}
