"""Write a task's rows as cleaned chat JSON lines, with a log of every change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from whichway.cli.flags import TaskFlags, spread


@spread
def prepare(
    task: TaskFlags,
    out: Annotated[
        Path,
        Option(help="A .jsonl file to write, or a folder where the data are split already; nothing is overwritten."),
    ],
    drop_duplicates: Annotated[
        bool, Option("--drop-duplicates", help="Drop rows that repeat an earlier one, nearly too, with its answer.")
    ] = False,
    mask_personal: Annotated[
        bool, Option("--mask-personal", help="Put [EMAIL], [PHONE], [CARD], [IBAN], [KEY] in place of such data.")
    ] = False,
    drop_suspects: Annotated[
        bool, Option("--drop-suspects", help="Drop rows whose label a cross-validated classifier is sure is wrong.")
    ] = False,
) -> None:
    """Write the rows in OpenAI's chat format (`messages`), cleaned as far as is asked for, and a log of the changes."""
    from collections import Counter

    from whichway.app.load_task import load_task
    from whichway.cli.task_flags import spec_of
    from whichway.tasks import clean
    from whichway.tasks.load import sources_and_skipped

    spec = spec_of(task)
    examined, (rows, skipped) = load_task(spec), sources_and_skipped(spec)
    cleaning = clean.CleanOptions(drop_duplicates, mask_personal, drop_suspects)
    remaining, changes = clean.clean(rows, cleaning, bool(examined.task.labels))
    changes = [*clean.left_out(skipped), *changes]
    files = clean.write(out, examined.task, remaining, changes)
    for name, on in (
        ("drop duplicates", drop_duplicates), ("mask personal", mask_personal), ("drop suspects", drop_suspects)
    ):  # fmt: skip
        print(f"{name:<16}{'on' if on else 'off'}")
    for (change, what), count in sorted(Counter((c.change, c.what) for c in changes).items()):
        print(f"  {count} {change}: {what}")
    print(f"{len(remaining)} of {len(rows) + len(skipped)} rows -> {', '.join(map(str, files))}")
