"""The store of activations: whole entries, a limit, several processes, and no error where it cannot be used."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from whichway.engine.model.activation_store import ActivationStore, KeptArray


def entry(value: float, size: int = 250) -> KeptArray:
    return KeptArray(np.full((size // 10, 10), value, np.float32), value)


def test_what_is_put_is_there_for_others_and_stays(tmp_path: Path):
    one, two = ActivationStore(tmp_path / "s.sqlite"), ActivationStore(tmp_path / "s.sqlite")
    one.put({"a": entry(1.0), "b": entry(2.0)})
    one.put({"a": entry(9.0)})
    known = two.get(["a", "b", "c"])
    assert {key: (k.array.shape, float(k.array[0, 0]), k.seconds) for key, k in known.items()} == {
        "a": ((25, 10), 1.0, 1.0),
        "b": ((25, 10), 2.0, 2.0),
    }


def test_what_was_used_longest_ago_goes_when_the_limit_is_passed(tmp_path: Path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("whichway.engine.model.activation_store.time.time", lambda: now[0])
    store = ActivationStore(tmp_path / "s.sqlite", limit=5000)
    for n in range(4):
        now[0] = 1000.0 * n
        store.put({f"k{n}": entry(n)})
    now[0] = 9000.0
    assert set(store.get(["k0"])) == {"k0"}  # used again
    now[0] = 9100.0
    store.put({"k4": entry(4.0), "k5": entry(5.0)})
    assert set(store.get([f"k{n}" for n in range(6)])) == {"k0", "k3", "k4", "k5"}
    store.put({"huge": entry(1.0, 5000)})
    assert not store.get(["huge"])
    assert len(store.get([f"k{n}" for n in range(6)])) == 4  # what does not fit displaces nothing


def test_a_write_that_fails_leaves_nothing(tmp_path: Path):
    store = ActivationStore(tmp_path / "s.sqlite")
    assert store._db is not None
    store._db.execute(
        "CREATE TRIGGER full BEFORE INSERT ON arrays WHEN NEW.key = 'b' BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    store.put({"a": entry(1.0), "b": entry(2.0)})
    assert not store.get(["a", "b"])
    assert store._db.execute("SELECT COUNT(*) FROM kept").fetchone() == (0,)
    store.put({"a": entry(1.0)})
    assert set(store.get(["a"])) == {"a"}


WRITER = """
import sys
import numpy as np
from pathlib import Path
from whichway.engine.model.activation_store import ActivationStore, KeptArray
store = ActivationStore(Path(sys.argv[1]), limit=60_000)
for n in range(60):
    store.put({f"{n % 40}": KeptArray(np.full((50, 10), n % 40, np.float32), 1.0)})
    for key, kept in store.get([str(k) for k in range(40)]).items():
        assert (kept.array == float(key)).all(), key
"""


def test_two_processes_never_see_half_an_entry(tmp_path: Path):
    path = tmp_path / "s.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) for _ in range(2)]
    assert [w.wait(timeout=60) for w in writers] == [0, 0]
    store = ActivationStore(path)
    assert store._db is not None
    total, count = store._db.execute("SELECT TOTAL(bytes), COUNT(*) FROM kept").fetchone()
    assert 0 < total <= 60_000
    assert store._db.execute("SELECT COUNT(*) FROM arrays").fetchone()[0] == count


def test_a_store_that_cannot_be_used_keeps_nothing(tmp_path: Path):
    (tmp_path / "broken.sqlite").write_bytes(b"no database at all" * 100)
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "broken.sqlite", tmp_path / "file" / "s.sqlite"):
        store = ActivationStore(path)
        store.put({"a": entry(1.0)})
        assert not store.get(["a"])
        store.close()


def test_threads_may_ask_side_by_side(tmp_path: Path):
    store = ActivationStore(tmp_path / "s.sqlite")
    store.put({str(n): entry(n) for n in range(50)})
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(store.get([str(n) for n in range(50)])))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [50, 50]
