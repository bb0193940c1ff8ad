"""How a benchmark's two sides take turns: a side waits for a line, works, and prints what it took. No other imports."""

import json
import sys
import time


class Turns:
    """One side's end of the line."""

    def __init__(self):
        # what libraries print must not mix with our lines
        self.out, sys.stdout = sys.stdout, sys.stderr
        self.start = self.cpu_start = 0.0

    def wait(self):
        """Say that nothing more is being done here, wait for our turn, start the clock."""
        self.tell(ready=True)
        if not sys.stdin.readline():
            sys.exit(0)
        self.start, self.cpu_start = time.perf_counter(), time.process_time()

    def taken(self):
        """Seconds of this turn so far."""
        return time.perf_counter() - self.start

    def cpu(self):
        """Processor seconds of this turn so far."""
        return time.process_time() - self.cpu_start

    def tell(self, **facts):
        """One line to the benchmark."""
        print(json.dumps(facts), file=self.out, flush=True)


def memory():
    """Most memory this process has had, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
