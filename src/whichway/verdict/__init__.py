"""Arithmetic and the decision: `stats` (formulas), `compare` (arms on the same rows), `rule`, `decide`, `explain`.

Nothing here reads a file or knows a model.
"""

from whichway.verdict.compare import Arm
from whichway.verdict.decide import decide
from whichway.verdict.sanity_gate import sanity

__all__ = ["Arm", "decide", "sanity"]
