"""How many requests are under way: one more after each round of successes, half as many when told to slow down.

Additive increase, multiplicative decrease (Chiu & Jain 1989), as TCP does it. A burst of refusals that were all sent
before the last cut counts once. `Retry-After` holds all requests back, not only the one that was refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

START = 4.0  # requests at once, to begin with


class Limiter:
    """Gives slots to the threads that ask one endpoint.

    Args:
        most: slots at most.
    """

    def __init__(self, most: int) -> None:
        self._most, self._room = float(most), threading.Condition()
        self.limit = min(START, self._most)
        self._active = 0
        self._cut_at = 0.0  # when it was last halved
        self._open_at = 0.0  # no request before

    def acquire(self, stop: threading.Event) -> float | None:
        """Wait for a slot; the time at which it was given, or None when `stop` was set meanwhile."""
        with self._room:
            while not stop.is_set():
                wait = self._open_at - time.monotonic()
                if wait <= 0 and self._active < max(1, int(self.limit)):
                    self._active += 1
                    return time.monotonic()
                self._room.wait(min(max(wait, 0.01), 0.1))
        return None

    def succeeded(self) -> None:
        """A request was answered: give its slot back, and a part of a new one."""
        with self._room:
            self._active -= 1
            self.limit = min(self._most, self.limit + 1 / self.limit)
            self._room.notify_all()

    def failed(self) -> None:
        """A request failed for a reason that has nothing to do with how many there are."""
        with self._room:
            self._active -= 1
            self._room.notify_all()

    def slowed(self, began: float, wait: float) -> None:
        """The endpoint is overrun.

        Args:
            began: when the request got its slot.
            wait: seconds in which none is to be sent; 0 where it did not say.
        """
        with self._room:
            self._active -= 1
            now = time.monotonic()
            if began >= self._cut_at:
                self.limit, self._cut_at = max(1.0, self.limit / 2), now
            self._open_at = max(self._open_at, now + wait)
            self._room.notify_all()


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that an answer asks to wait: `Retry-After` as a number or as a date, or in milliseconds; 0 without it."""
    milliseconds, header = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    try:
        return max(0.0, float(milliseconds) / 1000 if milliseconds else float(header or 0.0))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return 0.0
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
