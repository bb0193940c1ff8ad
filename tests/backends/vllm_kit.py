"""A stand-in for the program `vllm`: it takes the same words, answers at the same places, and notes its processes."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

SCRIPT = '''#!{python}
"""A stand-in for vLLM; what it does says STANDIN."""
import json, os, subprocess, sys, threading, time
sys.path[:0] = {paths}
words = sys.argv[1:]
mode = os.environ.get("STANDIN", "fake")
host, port, name = (words[words.index(option) + 1] for option in ("--host", "--port", "--served-model-name"))
key, folder = os.environ["VLLM_API_KEY"], words[1]
engine = subprocess.Popen(["sleep", "600"])  # vLLM's engine is a process beside its server
with open({notes!r}, "a") as out:
    out.write(json.dumps([os.getpid(), engine.pid, int(port), words, os.environ["VLLM_NO_USAGE_STATS"]]) + "\\n")
print("loading", folder, flush=True)
if mode == "dies":
    print("a wrong key would be", key)
    print("ValueError: no memory for the cache of this model", flush=True)
    sys.exit(3)
if mode == "silent":
    time.sleep(600)
if mode == "real":
    from whichway.app.configure import backends, base_of
    from whichway.ship import served_models
    from whichway.ship.access import AccessLimits
    from whichway.ship.listening import bound, listen
    from whichway.ship.serve import app
    with bound(host, int(port)) as address:
        offers = {{name: next(iter(served_models.of_model(base_of(folder)).values()))}}
        listen(app(offers, backends(), AccessLimits(key, None), None, None), address)
    sys.exit(0)

from http.server import ThreadingHTTPServer
from endpoint_kit import ChatHandler, Endpoint

class Handler(ChatHandler):
    endpoint = Endpoint(key=key)
    def do_GET(self):
        if self.path == "/health":
            return self._send(200, b"", {{}})
        if self.headers.get("Authorization") != f"Bearer {{key}}":
            return self._json(401, {{"error": "Unauthorized"}})
        return self._json(200, {{"object": "list", "data": [{{"id": name, "object": "model"}}]}})
    def do_POST(self):
        if mode == "slow":
            time.sleep(0.5)
        if mode == "brittle" and self.endpoint.calls >= 3:
            print("CUDA error: an illegal memory access was encountered", flush=True)
            os._exit(7)
        return super().do_POST()

class Server(ThreadingHTTPServer):
    allow_reuse_address = False
    daemon_threads = True

Server((host, int(port)), Handler).serve_forever(0.02)
'''


@dataclass(frozen=True)
class StandIn:
    """What the stand-in noted of itself."""

    notes: Path

    @property
    def started(self) -> list[tuple[int, int, int, list[str], str]]:
        """Of each start: the process, the one beside it, the port, the words, whether statistics are sent."""
        import json

        lines = self.notes.read_text(encoding="utf-8").splitlines() if self.notes.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    @property
    def running(self) -> list[int]:
        """Processes of it that have not ended."""
        return [pid for start in self.started for pid in start[:2] if _runs(pid)]

    def wait_until_gone(self, seconds: float = 5.0) -> None:
        """Fail where a process of it is left."""
        end = time.monotonic() + seconds
        while self.running:
            assert time.monotonic() < end, f"left over: {self.running} of {self.started}"
            time.sleep(0.02)

    def wait_until_started(self, seconds: float = 30.0) -> None:
        """Fail where it is never started."""
        end = time.monotonic() + seconds
        while not self.started:
            assert time.monotonic() < end, "it was not started"
            time.sleep(0.02)


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A stand-in alone on the path, beside what it calls itself."""
    programs = folder / "programs"
    programs.mkdir()
    standin = StandIn(folder / "starts.jsonl")
    source = Path(__file__).parents[2] / "src"
    paths = [str(Path(__file__).parent), str(source)]
    program = programs / "vllm"
    program.write_text(SCRIPT.format(python=sys.executable, paths=paths, notes=str(standin.notes)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return standin


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
