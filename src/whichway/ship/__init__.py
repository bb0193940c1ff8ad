"""The winner leaves: a finished run's candidate as a folder that others can use without whichway."""

from __future__ import annotations

from whichway.ship.parity.check_options import CheckOptions
from whichway.ship.shipped_folder import Shipped, ship
from whichway.ship.source import ShipSource, pick

__all__ = ["CheckOptions", "ShipSource", "Shipped", "pick", "ship"]
