"""Say what this machine can do, what is missing, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option


def doctor(runs: Annotated[Path, Option(help="Where runs will be written.")] = Path("runs")) -> int:
    """Look at this machine; exit code 1 when a run cannot work here."""
    from whichway.app.doctor import examine

    marks = {"ok": " ", "note": "*", "bad": "!"}
    findings = list(examine(runs))
    for finding in findings:
        print(f"{marks[finding.state]} {finding.name:<16}{finding.value}")
    advice = [f for f in findings if f.advice]
    print()
    for finding in advice:
        print(f"{marks[finding.state]} {finding.name}: {finding.advice}")
    bad = any(f.state == "bad" for f in findings)
    print("Not ready: see the lines marked with !" if bad else "Ready: whichway demo")
    return 1 if bad else 0
