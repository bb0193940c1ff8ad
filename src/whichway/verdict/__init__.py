"""Arithmetic and the decision: `stats` (formulas), `compare` (arms on the same rows), `rule`, `words`, `decide`.

Nothing here reads a file or knows a model.
"""

from whichway.verdict.compare import Arm
from whichway.verdict.decide import decide, sanity

__all__ = ["Arm", "decide", "sanity"]
