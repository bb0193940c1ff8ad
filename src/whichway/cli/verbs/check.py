"""Check a task before anything is spent: splits, labels, lengths, warnings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from whichway.cli.flags import TaskFlags, spread
from whichway.errors import OptionError
from whichway.nouns import Split

if TYPE_CHECKING:
    from whichway.tasks import Findings

SIDES: tuple[Split, ...] = ("train", "dev", "test")
MOST = 40  # labels shown


@spread
def check(
    task: TaskFlags,
    show: Annotated[int, Option(min=0, help="Training rows shown token by token, as the trainer renders them.")] = 3,
    probe: Annotated[
        bool, Option("--probe", help="Judge labels by the model's hidden states (loads it) instead of by words.")
    ] = False,
    suspects: Annotated[
        bool, Option("--suspects", help="Look for wrong labels in large data as well; takes minutes.")
    ] = False,
    baseline: Annotated[
        Path | None, Option(help="A finished run: exit code 100 when the prompt is shown worse than its winner.")
    ] = None,
    comment: Annotated[
        Path | None, Option(help="With --baseline: write what came out to this file, as a comment in Markdown.")
    ] = None,
) -> int:
    """Check a task: splits, labels, lengths, warnings; trained tokens, copies, wrong labels, personal data."""
    from rich.console import Console

    from whichway.app.data_report import data_report, group_lines
    from whichway.app.load_task import load_task
    from whichway.app.tested_rows import for_contest, tested_lines
    from whichway.cli.data_report import show as print_report
    from whichway.cli.task_flags import spec_of
    from whichway.tasks.collection import uncollected

    if baseline is not None:
        from whichway.app.regression import check_regression  # statistics are imported with it, which cost a second

        result = check_regression(spec_of(task), baseline)
        print(result.line)
        if comment is not None:
            from whichway.app.gate_comment import gate_comment

            comment.write_text(gate_comment(result), encoding="utf-8")
        return result.code
    if comment is not None:
        raise OptionError("--comment: says how a prompt compares with a run. Name the run with --baseline.")
    with uncollected():
        examined = for_contest(load_task(spec_of(task)))
        print("\n".join(lines(examined.findings)), flush=True)
        print("\n".join(tested_lines(examined.task)), flush=True)
        print("\n".join(group_lines(examined)), flush=True)
        print_report(data_report(examined.task, show, probe, suspects), Console(highlight=False))
    return 0


def lines(findings: Findings) -> Iterator[str]:
    """The findings for a reader."""
    yield f"task      {findings.task}: {findings.ask}"
    yield f"metric    {findings.metric}"
    yield f"rows      {', '.join(f'{findings.rows.get(side, 0)} {side}' for side in SIDES)}"
    for name, length in findings.lengths.items():
        yield (
            f"{name:<10}{length.characters_median:.0f} characters in the middle, {length.characters_p95:.0f} at 95 %, "
            f"{length.characters_max} at most ({length.longest})"
        )
    yield from _labels(findings)
    yield from (f"note: {note}" for note in findings.notes)
    yield from (f"warning: {warning}" for warning in findings.warnings)
    if not findings.warnings:
        yield "no warnings"


def _labels(findings: Findings) -> Iterator[str]:
    if not findings.labels:
        return
    width = min(40, max(len(label) for label in findings.labels))
    yield f"labels    {len(findings.labels)}"
    yield f"  {'':<{width}}{''.join(f'{side:>8}' for side in SIDES)}"
    for label, counts in list(findings.labels.items())[:MOST]:
        yield f"  {label:<{width}}{''.join(f'{counts.get(side, 0):>8}' for side in SIDES)}"
    if len(findings.labels) > MOST:
        yield f"  and {len(findings.labels) - MOST} more"
