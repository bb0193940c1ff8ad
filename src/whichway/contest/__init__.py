"""One protocol for all ways: plan, bench (meter, cache), records, the crossing of the test split, the verdict."""

from __future__ import annotations

from whichway.contest.plan import Components, Settings, make_plan
from whichway.contest.run import Outcome, run

__all__ = ["Components", "Outcome", "Settings", "make_plan", "run"]
