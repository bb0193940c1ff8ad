"""The helpers of the engine's and the contest's tests are used here too."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("engine", "contest")]
