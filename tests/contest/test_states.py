"""What trainings of a run read together is gone when the run is over."""

from whichway.contest.cache import Cache


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
