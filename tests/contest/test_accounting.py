"""What is charged, what is paid, and by whom."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task
from filelock import FileLock

from whichway.contest import run
from whichway.contest.cache import Cache
from whichway.nouns import Candidate, Decoding, Prompt
from whichway.runs.folder import read_candidates, read_records

FAILS = {"prompt_plain": {}, "tune_lora": {"rate": 5.0}}


def ledger(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").open()]


def test_a_failed_training_is_charged_and_a_rerun_finds_it_in_the_books(tmp_path):
    task = small_task(90, 40, 60)
    trained = []
    components = make_components(task)

    class Counting(type(components.backends["fake"])):
        def train(self, job, folder, adapter):
            trained.append(job.id)
            yield from super().train(job, folder, adapter)

    components = replace(components, backends={**components.backends, "fake": Counting()})
    first = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, FAILS))
    failed = next(s for s in first.verdict.standings if s.way == "tune_lora")
    assert failed.seconds_fit == pytest.approx(0.001)  # one step of the double
    line = next(x for x in ledger(tmp_path / "r") if x["key"].endswith("/failed"))
    assert (line["seconds"], line["paid_seconds"], line["checkpoint"]) == (0.001, 0.001, 0)
    assert "diverged" in line["reason"]
    before = {name: (tmp_path / "r" / name).read_bytes() for name in ("ledger.jsonl", "verdict.json")}
    again = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, FAILS))
    assert len(trained) == 1
    assert again.paid_seconds == 0
    assert {name: (tmp_path / "r" / name).read_bytes() for name in before} == before


def test_a_failure_is_not_cached_for_other_runs(tmp_path):
    task = small_task(90, 40, 60)
    run(task, make_components(task), folder=tmp_path / "a", settings=settings_for(tmp_path, FAILS))
    other = run(task, make_components(task), folder=tmp_path / "b", settings=settings_for(tmp_path, FAILS))
    assert other.paid_seconds == pytest.approx(0.001)


def test_a_failure_without_a_price_is_timed(tmp_path):
    task = small_task(90, 40, 60)
    components = make_components(task)

    class Slow(type(components.backends["fake"])):
        def train(self, job, folder, adapter):
            import time

            from whichway.errors import WayFailed

            time.sleep(0.05)
            raise WayFailed("no memory")
            yield

    components = replace(components, backends={**components.backends, "fake": Slow()})
    verdict = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, FAILS)).verdict
    failed = next(s for s in verdict.standings if s.way == "tune_lora")
    assert 0.05 <= failed.seconds_fit < 5


def test_the_same_candidate_of_two_ways_is_listed_twice_and_paid_once(tmp_path):
    task = small_task(90, 40, 60)

    class Copy:
        KIND, RANDOM = "prompt", False
        Options = make_components(task).ways["base_majority"].Options

        def adapt(self, practice, bench, options):
            yield Candidate(Prompt(objective="which?"), bench.base, Decoding())

    components = make_components(task)
    components = replace(components, ways={**components.ways, "one": Copy(), "two": Copy()})
    outcome = run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, {"one": {}, "two": {}}))
    books = ledger(tmp_path / "r")
    for way, paid in (("one", 0.1), ("two", 0.0)):
        mine = [line for line in books if line["who"] == way]
        assert sum(line["seconds"] for line in mine) == pytest.approx(0.1)  # 100 rows of a millisecond
        assert sum(line["paid_seconds"] for line in mine) == pytest.approx(paid)
    assert outcome.paid_seconds == pytest.approx(0.1)
    assert len(read_records(tmp_path / "r")) == 100
    (tmp_path / "r" / "ledger.jsonl").unlink()
    (tmp_path / "r" / "records.jsonl").unlink()
    run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, {"one": {}, "two": {}}))
    assert ledger(tmp_path / "r") == books  # rebuilt from the cache: who paid for what is the same


def test_a_way_that_asks_twice_is_charged_once(tmp_path):
    task = small_task(90, 40, 60)

    class Careful:
        KIND, RANDOM = "prompt", False
        Options = make_components(task).ways["base_majority"].Options

        def adapt(self, practice, bench, options):
            candidate = Candidate(Prompt(objective="which?"), bench.base, Decoding())
            assert bench.value(candidate) == bench.value(candidate)
            yield candidate

    components = make_components(task)
    components = replace(components, ways={**components.ways, "careful": Careful()})
    run(task, components, folder=tmp_path / "r", settings=settings_for(tmp_path, {"careful": {}}))
    facts = next(facts for _, facts in read_candidates(tmp_path / "r").values())
    assert facts["seconds_fit"] == pytest.approx(0.04)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from dataclasses import replace
from contest_kit import make_components, settings_for, small_task
from whichway.contest import run
place, name = Path(sys.argv[1]), sys.argv[2]
task = small_task(90, 40, 60)
components = make_components(task, "fake:delay=0.15")
trained = []
class Counting(type(components.backends["fake"])):
    def train(self, job, folder, adapter):
        for made in super().train(job, folder, adapter):
            trained.append(made.weights.adapter)
            yield made
components = replace(components, backends={**components.backends, "fake": Counting()})
print("ready", flush=True)
sys.stdin.readline()
outcome = run(task, components, folder=place / name, settings=settings_for(place, {"tune_lora": {"rate": 1e-3}}))
print(len(trained), outcome.verdict.candidate, flush=True)
"""


def test_a_cache_that_another_run_is_opening_is_waited_for(tmp_path):
    file = sqlite3.connect(tmp_path / "replies.sqlite", isolation_level=None, check_same_thread=False)
    file.execute("CREATE TABLE others (n)")
    held = FileLock(tmp_path / "replies.lock", thread_local=False)
    held.acquire()
    file.execute("BEGIN IMMEDIATE")  # as while SQLite changes its journal: it fails at once, whatever its timeout

    def end():
        file.execute("COMMIT")
        file.close()
        held.release()

    later = threading.Timer(0.5, end)
    later.start()
    Cache(tmp_path).close()
    later.join()


def test_two_runs_that_share_a_cache_do_not_train_the_same_twice(tmp_path):
    here = str(Path(__file__).parent)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path), name, here], **pipes) for name in "ab"]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[0].split() for process in both]
    assert sum(int(count) for count, _ in told) == 3 * 4  # three seeds of four checkpoints, each trained once
    assert told[0][1] == told[1][1]
    listed = [sum(line["seconds"] for line in ledger(tmp_path / name) if line["what"] == "train") for name in "ab"]
    paid = sum(line["paid_seconds"] for name in "ab" for line in ledger(tmp_path / name) if line["what"] == "train")
    assert listed[0] == pytest.approx(listed[1])
    assert paid == pytest.approx(listed[0])
