"""How the process holds memory: one arena, so that what a thread frees serves the others."""

import subprocess
import sys

import pytest

from whichway.engine.model import malloc

ARENAS = """
import ctypes, importlib.util, sys, threading
spec = importlib.util.spec_from_file_location("heap", sys.argv[2])
heap = importlib.util.module_from_spec(spec)
spec.loader.exec_module(heap)
if sys.argv[1] == "settled":
    assert heap.hold_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
meet = threading.Barrier(3)
def work():
    meet.wait()
    [libc.malloc(50_000) for _ in range(200)]
threads = [threading.Thread(target=work) for _ in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
libc.fopen.restype, libc.malloc_info.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
libc.malloc_info(0, libc.fopen(b"/dev/stdout", b"w"))
libc.fflush(None)
"""


def arenas(how):
    command = [sys.executable, "-c", ARENAS, how, malloc.__file__]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_all_threads_share_one_arena():
    assert arenas("settled") == 1
    assert arenas("as it is") > 1


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: object())
    assert malloc.hold_freed_memory() is False
    monkeypatch.setattr(malloc.sys, "platform", "darwin")
    assert malloc.hold_freed_memory() is False
