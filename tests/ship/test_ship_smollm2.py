"""A real model leaves in each form of weights and answers as measured: SmolLM2, fine-tuned for a few steps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ship_kit import contest, data

from whichway.app.configure import backends
from whichway.ship import CheckOptions, ship

PEERS = os.environ.get("WHICHWAY_PEERS", "")
WAYS = {"tune_lora": {"epochs": 1, "steps": 1, "rate": 3e-4, "rank": 8}, "prompt_plain": {"layouts": ["system"]}}


@pytest.mark.slow
@pytest.mark.parametrize(("way", "forms"), [
    ("tune_lora", ("folder", "peft", "merged", "gguf", "ollama")), ("prompt_plain", ("folder", "gguf")),
])  # fmt: skip
def test_smollm2_ships_as_measured(way: str, forms: tuple[str, ...], tmp_path: Path) -> None:
    from whichway import models

    if models.here("smollm2") is None:
        pytest.skip("smollm2 was not fetched")
    run = contest(data(tmp_path), "smollm2", {way: WAYS[way]})
    options = CheckOptions(rows=12, python=Path(PEERS) if PEERS else None)
    shipped = ship(run, tmp_path / "out", way=way, backends=backends(), forms=forms, check=options)
    print("\n".join(line for report in shipped.checks for line in report.lines))
    assert shipped.sound
    assert {report.status for report in shipped.checks if "gguf" not in report.part} == {"ok"}
    for report in shipped.checks:
        assert report.status != "ok" or report.rendered in (None, report.rows) or report.rows == 0
