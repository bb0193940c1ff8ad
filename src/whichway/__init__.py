"""whichway: for this task, with this model, engineer the prompt or fine-tune the weights?"""

from __future__ import annotations

__version__ = "0.1.0"
