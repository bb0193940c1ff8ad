"""`python -m whichway`."""

from __future__ import annotations

import sys

from whichway.cli import main

if __name__ == "__main__":
    sys.exit(main())
