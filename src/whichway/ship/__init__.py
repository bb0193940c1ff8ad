"""The winner leaves: a finished run's candidate as a folder that others can use without whichway."""

from __future__ import annotations

from whichway.ship.folder import Shipped, ship
from whichway.ship.source import Source, pick

__all__ = ["Shipped", "Source", "pick", "ship"]
