"""The clock of a run: one for all that a start of it does, from the probe to the verdict."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from whichway.errors import ClockEnded

if TYPE_CHECKING:
    from types import FrameType

CLOSING = 0.03  # share of the time that is kept for the last verdict and the page
MOST_CLOSING = 5.0  # seconds of it at most


class Clock:
    """Counts a run's time down.

    Args:
        minutes: None, or infinite: it never ends.
        now: seconds of a clock that only goes forward.
    """

    def __init__(self, minutes: float | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._began = now, now()
        self.seconds = None if minutes is None or math.isinf(minutes) else 60 * minutes
        self._working = False

    @property
    def spent(self) -> float:
        """Seconds since it was started."""
        return self._now() - self._began

    @property
    def left(self) -> float | None:
        """Seconds of work that are left, what closing takes set aside; None: it never ends."""
        if self.seconds is None:
            return None
        return max(0.0, self.seconds - min(MOST_CLOSING, CLOSING * self.seconds) - self.spent)

    def check(self, needed: float = 0.0) -> None:
        """Refuse to go on when the time is over, or too short for what comes next.

        Args:
            needed: seconds that the next piece of work takes.

        Raises:
            ClockEnded: it is; only inside `working`.
        """
        if self._working and self.left is not None and self.left <= needed:
            raise ClockEnded

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work that ends with the clock: at the next check, and in the main thread whatever is done just then."""
        self._working = True
        try:
            with self._alarm():
                yield
        finally:
            self._working = False

    @contextmanager
    def _alarm(self) -> Iterator[None]:
        """An alarm of the operating system at the end, where there is one and the clock is a real one."""
        usable = self._now is time.monotonic and hasattr(signal, "setitimer")
        if self.left is None or not usable or threading.current_thread() is not threading.main_thread():
            yield
            return

        def ring(_number: int, _frame: FrameType | None) -> None:
            if self._working:
                raise ClockEnded

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, max(self.left, 1e-3))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
