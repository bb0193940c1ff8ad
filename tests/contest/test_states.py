"""What trainings of a run leave in the cache: shared activations go with the run, a trained part is found once."""

from pathlib import Path

from whichway.contest.cache import Cache
from whichway.nouns import Weights


def test_activations_are_deleted_when_a_run_ends(tmp_path):
    cache = Cache(tmp_path)
    kept = cache.training("key") / "kept.json"
    kept.write_text("{}")
    states = tmp_path / "trainings" / "states"
    states.mkdir()
    (states / "a.safetensors").write_bytes(b"x")
    cache.close()
    assert not states.exists()
    assert kept.exists()
    Cache(None).close()


def test_the_cache_is_searched_once_for_a_trained_part(tmp_path, monkeypatch):
    cache, weights = Cache(tmp_path), Weights("local", "base", "r", adapter="abc", kind="lora")
    assert cache.adapter(weights) is None
    place = cache.training("key") / "abc"
    place.mkdir(parents=True)
    searches, search = [], Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: (searches.append(pattern), search(self, pattern))[1])
    assert [cache.adapter(weights) for _ in range(3)] == [place] * 3
    assert len(searches) == 1
    cache.close()
