"""Every planted fault is caught by the check, and the same exports without it raise no alarm; with real runtimes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from faults_kit import FAULTS, FaultBench

PEERS = os.environ.get("WHICHWAY_PEERS", "")


@pytest.fixture(scope="module")
def bench(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> FaultBench:
    return FaultBench(tiny, tmp_path_factory.mktemp("faults"), Path(PEERS) if PEERS else None)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault, bench: FaultBench) -> None:
    if fault.form == "gguf" and not Path(PEERS).is_file():
        pytest.skip("WHICHWAY_PEERS names no Python with llama-cpp-python")
    clean, planted = bench.reports(fault)
    assert all(report.status == "ok" for report in clean), [report.problems for report in clean]
    assert any(report.status == "failed" for report in planted)
