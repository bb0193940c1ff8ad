"""Searches that cost less: one rate at few rows, layers from the top down."""

from __future__ import annotations

import re
from types import SimpleNamespace

from test_tune_ways import SMALL, hold, labelled
from test_tune_ways import here as here  # a fixture

from whichway.contest.plan import fill_options
from whichway.runs.folder import read_candidates
from whichway.ways._train import FOUR, TrainingOptions, rates_of


def test_few_rows_take_the_first_rate_without_a_search():
    few = TrainingOptions(search_from=200)
    assert rates_of(few, 199) == [{"factor": 1.6}]
    assert [rate["factor"] for rate in rates_of(few, 200)] == list(FOUR[:2])
    assert rates_of(TrainingOptions(rate=0.1, search_from=200), 10) == [{"rate": 0.1}]
    way = SimpleNamespace(Options=TrainingOptions)
    assert fill_options("tune_x", way, {"search_from": 200}).search_from == 200
    assert fill_options("tune_x", way, {"factors": (1.0, 2.0)}).search_from == 0  # who sets the rates gets them


def test_layers_are_trained_from_the_top_down_while_dev_gets_better(here, tiny, tmp_path):
    ways = {"tune_top": {**SMALL, "layers": 1, "deeper": (2,)}}
    verdict = hold(labelled(), tmp_path, tiny("llama"), ways)
    assert verdict.standings[0].status == "ok", verdict.standings[0].reason
    log = (tmp_path / "run" / "ways" / "tune_top" / "log").read_text()
    values = [float(value) for value in re.findall(r"layers? from the top: dev ([\d.]+)", log)]
    assert len(values) == 2
    assert (", no better" in log) is (values[1] <= values[0])
    kept = {candidate.weights.adapter for candidate, _ in read_candidates(tmp_path / "run").values()}
    assert len(kept) == 4  # one number of layers, a candidate for each checkpoint
    whole = len(here) / 2
    assert whole == round(whole)  # two trainings: what the search has bought is not trained again
