"""The machine is measured: the format of weights, the number of threads."""

import torch

from whichway.engine import rates


def test_narrow_models_stay_exact():
    assert rates.dtype(torch.device("cpu"), 32) == torch.float32


def test_bfloat16_must_pay(monkeypatch):
    for factor, wanted in ((2.0, torch.bfloat16), (1.2, torch.float32)):
        rates.dtype.cache_clear()
        rate = {torch.bfloat16: factor, torch.float32: 1.0}
        monkeypatch.setattr(rates, "product_rate", lambda kind, rate=rate, **_: rate[kind])
        assert rates.dtype(torch.device("cpu"), 576) == wanted
    rates.dtype.cache_clear()


def test_threads_must_pay_and_are_measured_again_when_stale(monkeypatch):
    monkeypatch.setattr(rates, "_found", {})
    seconds = {1: 1.0, 2: 0.6}
    monkeypatch.setattr(rates, "_usual_seconds", lambda: seconds[torch.get_num_threads()])
    assert rates.threads(1) == 1
    assert rates.threads(2) == 2
    seconds[2] = 3.0  # another process is busy now
    assert rates.threads(2) == 2
    monkeypatch.setattr(rates, "_FRESH_SECONDS", -1.0)
    assert rates.threads(2) == 1


def test_threads_are_put_back(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(rates, "threads", lambda most: 2)
    with rates.fitting():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before


def test_a_rate_is_measured():
    assert rates.product_rate(torch.float32, 64, 64, 2) > 1e6
