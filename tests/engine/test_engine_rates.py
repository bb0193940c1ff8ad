"""The machine is measured: the format of weights, the number of threads."""

import torch

from whichway.engine.model import throughput


def test_narrow_models_stay_exact():
    assert throughput.dtype(torch.device("cpu"), 32) == torch.float32


def test_bfloat16_must_pay(monkeypatch):
    for factor, wanted in ((2.0, torch.bfloat16), (1.2, torch.float32)):
        throughput.dtype.cache_clear()
        rate = {torch.bfloat16: factor, torch.float32: 1.0}
        monkeypatch.setattr(throughput, "product_rate", lambda kind, rate=rate, **_: rate[kind])
        assert throughput.dtype(torch.device("cpu"), 576) == wanted
    throughput.dtype.cache_clear()


def test_threads_must_pay_and_are_measured_again_when_stale(monkeypatch):
    monkeypatch.setattr(throughput, "_measured", {})
    seconds = {1: 1.0, 2: 0.6}
    monkeypatch.setattr(throughput, "_usual_seconds", lambda: seconds[torch.get_num_threads()])
    assert throughput.threads(1) == 1
    assert throughput.threads(2) == 2
    seconds[2] = 3.0  # another process is busy now
    assert throughput.threads(2) == 2
    monkeypatch.setattr(throughput, "_FRESH_SECONDS", -1.0)
    assert throughput.threads(2) == 1


def test_threads_are_put_back(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(throughput, "threads", lambda most: 2)
    with throughput.fitting():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before


def test_a_rate_is_measured():
    assert throughput.product_rate(torch.float32, 64, 64, 2) > 1e6
