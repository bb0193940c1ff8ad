"""Data comes in: read, find columns, check, split, judge. A spec (task file or flags) goes in, a `Task` comes out."""

from __future__ import annotations

from whichway.tasks.check import Findings, findings
from whichway.tasks.load import Examined, examine, load
from whichway.tasks.new_rows import read_inputs
from whichway.tasks.spec import Spec, from_flags, read_spec

__all__ = ["Examined", "Findings", "Spec", "examine", "findings", "from_flags", "load", "read_inputs", "read_spec"]
