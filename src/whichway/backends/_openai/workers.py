"""Questions to an endpoint side by side: threads ask, and the thread that waits for them keeps each answer at once."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from whichway.backends._openai.calls import Stopped
from whichway.contracts import Meter
from whichway.nouns import Reply, Request

GRACE_SECONDS = 5.0  # for answers that are under way when a user interrupts

Work = Callable[[Request, threading.Event], Reply]


def answer_all(requests: Sequence[Request], work: Work, threads: int, meter: Meter) -> list[Reply]:
    """The reply to each request, in order. `meter.keep` hears of each as it comes.

    Args:
        requests: any number of them.
        work: answers one; is told when to begin nothing more.
        threads: at most.
        meter: of the session.

    Raises:
        Exception: the first that `work` raised; what was under way then is waited for and kept.
    """
    crew = _Crew(requests, work, meter)
    crew.start(min(threads, len(requests)))
    try:
        crew.wait(None)
    except BaseException:  # a user interrupts, or an answer cannot be kept
        crew.stop.set()
        crew.wait(GRACE_SECONDS)
        raise
    if crew.failure is not None:
        raise crew.failure
    return [reply for reply in crew.replies if reply is not None]


class _Crew:
    """The threads of one call."""

    def __init__(self, requests: Sequence[Request], work: Work, meter: Meter) -> None:
        self._work, self._meter = work, meter
        self._waiting = deque(enumerate(requests))
        self._events: queue.Queue[tuple[int, Reply | BaseException | None]] = queue.Queue()  # None: a thread has ended
        self._kept = [threading.Event() for _ in requests]
        self._running = 0
        self.stop = threading.Event()
        self.replies: list[Reply | None] = [None] * len(requests)
        self.failure: BaseException | None = None

    def start(self, threads: int) -> None:
        """Begin."""
        self._running = threads
        for _ in range(threads):
            threading.Thread(target=self._serve, daemon=True).start()

    def wait(self, seconds: float | None) -> None:
        """Take what comes until all threads have ended, or until the time is over."""
        end = None if seconds is None else time.monotonic() + seconds
        while self._running and (end is None or time.monotonic() < end):
            try:
                self._take(*self._events.get(timeout=0.1))
            except queue.Empty:
                continue

    def _take(self, index: int, result: Reply | BaseException | None) -> None:
        if result is None:
            self._running -= 1
        elif isinstance(result, Reply):
            self.replies[index] = result
            try:
                self._meter.keep(index, result)
            finally:
                self._kept[index].set()
        else:
            self.stop.set()
            self.failure = self.failure or result

    def _serve(self) -> None:
        try:
            while not self.stop.is_set():
                index, request = self._waiting.popleft()
                try:
                    self._events.put((index, self._work(request, self.stop)))
                    self._kept[index].wait()  # a kill loses the calls under way alone, not answers that wait here
                except BaseException as error:
                    if not isinstance(error, Stopped):
                        self._events.put((index, error))
                    return
        except IndexError:
            return
        finally:
            self._events.put((-1, None))
