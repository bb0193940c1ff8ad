"""A contest reads a row once: the probe finds what zero-shot has read, and both cost what reading it anew costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.backends.local import LocalBackend
from whichway.contest import run
from whichway.engine.model.decoder import Decoder
from whichway.engine.train.probe import Prober
from whichway.runs.folder import read_candidates, read_records

WAYS = {"prompt_plain": {"layouts": ("system",), "calibrate": 0}, "tune_probe": {}}


class Alone(LocalBackend):
    """Keeps nothing: every way reads its rows itself."""

    def keep(self, folder, heads=(), states=False):
        pass


def held(tmp_path: Path, name: str, backend: LocalBackend, base: str, ways=None):
    task = small_task(40, 24, 24)
    components = make_components(task)
    components = replace(components, backends={**components.backends, "local": backend}, base=backend.weights(base))
    folder = tmp_path / name
    verdict = run(
        task, components, folder=folder, settings=settings_for(folder / "place", WAYS if ways is None else ways)
    )
    records = {(r.candidate, r.example, r.split): r for r in read_records(folder)}
    of_way = {way: set(read_candidates(folder, way)) for way in WAYS}
    return verdict.verdict, records, of_way


@pytest.fixture
def read_by(monkeypatch) -> dict[str, int]:
    """Tokens that went into the model, by whether a probe's session asked."""
    tokens = {"probe": 0, "other": 0}
    asking = [""]
    embed, features = Decoder.embed, Prober.features

    def counted(self, ids, positions):
        tokens["probe" if asking[0] else "other"] += len(ids)
        return embed(self, ids, positions)

    def asked(self, requests):
        asking[0] = "yes"
        try:
            return features(self, requests)
        finally:
            asking[0] = ""

    monkeypatch.setattr(Decoder, "embed", counted)
    monkeypatch.setattr(Prober, "features", asked)
    return tokens


def test_a_probe_of_a_contest_reads_its_training_rows_alone(tiny, tmp_path, read_by):
    base = str(tiny("llama"))
    alone, alone_records, _ = held(tmp_path, "alone", Alone(), base)
    tokens_alone = dict(read_by)
    read_by.update(probe=0, other=0)
    shared, records, of_way = held(tmp_path, "shared", LocalBackend(), base)
    assert read_by["other"] == tokens_alone["other"]
    answered = 2 * 24  # dev and test rows: a probe reads them once for each in the other contest
    assert read_by["probe"] < tokens_alone["probe"] - answered * 10
    assert {key: (r.text, r.tokens_in, r.tokens_cached) for key, r in records.items()} == {
        key: (r.text, r.tokens_in, r.tokens_cached) for key, r in alone_records.items()
    }
    probe = [r for key, r in records.items() if key[0] in of_way["tune_probe"] and r.outcome != "error"]
    assert probe
    assert all(r.seconds > 0 and r.usd > 0 for r in probe)  # the list price of a row that is read anew
    plain = [r for key, r in records.items() if key[0] in of_way["prompt_plain"]]
    assert sum(r.seconds for r in plain) > sum(r.seconds for r in probe)  # labels are read behind each row as well
    paid = {name: paid_for_answers(tmp_path / name) for name in ("alone", "shared")}
    assert paid["alone"] > paid["shared"] == 0  # that was paid when zero-shot read the rows
    assert {s.way: s.score for s in shared.standings} == {s.way: s.score for s in alone.standings}


def paid_for_answers(folder: Path) -> float:
    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").open()]
    return sum(x["paid_seconds"] for x in ledger if x["who"] == "tune_probe" and x["what"] in ("score", "test"))


def test_nothing_is_kept_for_prompts_that_no_training_shares(tiny, tmp_path):
    backend = LocalBackend()
    held(tmp_path, "run", backend, str(tiny("llama")), {"prompt_plain": WAYS["prompt_plain"]})
    assert backend._store is None  # closed with the contest
    assert not backend._heads
