"""What leaves is what was measured: an exported form is started in its own runtime and answers recorded test rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from whichway.ship.forms import ShipForm
from whichway.ship.parity.check_options import CheckOptions
from whichway.ship.parity.compare_results import compare
from whichway.ship.parity.intact import broken_files
from whichway.ship.parity.joint_check import check_joint
from whichway.ship.parity.parity_report import ParityReport
from whichway.ship.parity.reference import Reference
from whichway.ship.parity.runtimes import started

__all__ = ["CheckOptions", "ParityReport", "Reference", "check", "check_joint"]


def check(form: ShipForm, folder: Path, reference: Reference) -> list[ParityReport]:
    """The reports on a shipped form, one for each part that has a runtime of its own.

    Args:
        form: what the folder is.
        folder: with its manifest.
        reference: what was measured.
    """
    broken = tuple(broken_files(folder))
    if broken:
        return [ParityReport(form.NAME, runtime="its manifest", status="failed", problems=broken)]
    reports = [compare(form.NAME, part, reference) for part in started(form, folder, reference)]
    return [replace(report, notes=tuple(dict.fromkeys(report.notes))) for report in reports]
