"""Contests on a hosted model whose server misbehaves at random: is an answer lost, one counted twice, a cap passed?

The server keeps its own bill. Half of the schedules spoil answers alone, the other half jobs of `tune_hosted` as well.
Faults: 429 and 503 storms, 500s, hangs, truncated JSON, wrong usage, duplicate answers, HTML pages, slow streams, cut
connections. A run that stops is started again, as a user would, up to eight times. Goes on where it was stopped.

    python benchmarks/hosted_faults.py --seeds 200
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests" / "backends")]

from endpoint_kit import KEY, Endpoint, serving  # noqa: E402
from hosted_kit import Contest, facts, schedule, small_task  # noqa: E402
from test_tune_hosted import contest, shelf  # noqa: E402
from tuning_kit import TuningEndpoint  # noqa: E402

from whichway.errors import EndpointError  # noqa: E402

LINES, PAGE = HERE / "results" / "hosted_faults.jsonl", HERE / "results" / "hosted_faults.md"
STARTS = 8
CAPS = {"answers": (None, 0.004, 0.0015, 0.0004), "jobs": (None, 0.5, 0.06, 0.01)}
HEAD = """# Hosted models under random faults

`python benchmarks/hosted_faults.py --seeds N`: small contests on a server that misbehaves at random and keeps its own
bill. *answers*: `prompt_plain` under faults of chat. *jobs*: `tune_hosted` beside it, under faults of files and jobs as
well. Three contests in four have a cap for each way. A run that stopped was started again, as its user would.

| | answers | jobs |
|---|---|---|
{rows}
"""


def held(kind: str, seed: int, folder: Path) -> dict[str, Any]:
    """One contest to its end, and what its books say beside the server's."""
    rng, share, cap = random.Random(seed), (0.05, 0.15, 0.3)[seed % 3], CAPS[kind][seed % 4]
    service: Endpoint = Endpoint(fault=schedule(seed, share))
    if kind == "jobs":
        faults = {n: rng.choice(("500", "429", "html", "lost")) for n in range(1, 400) if rng.random() < share}
        service = TuningEndpoint(
            fault=schedule(seed, share),
            polls=rng.randint(1, 6),
            job_fault=lambda method, path, number: faults.get(number + len(method) + len(path)),
        )
    with serving(service) as address:
        shelf(folder, address, timeout_seconds=0.5, concurrency=8)
        run = contest(folder, cap=cap) if kind == "jobs" else Contest(folder, small_task(6, 8, 8), cap=cap)
        starts = _to_the_end(run)
        ledger, calls = run.ledger, service.calls
        paid = Counter[str]()
        for line in ledger:
            paid[line["way"]] += line["paid_usd"]
        again = 0.0 if starts is None else run.hold().paid_usd
    tuned = getattr(service, "training_usd", 0.0)
    keys = [line["key"] for line in ledger]
    scores = {line["way"]: line["score"] for line in facts(folder)["standings"]} if starts else {}
    return {
        "kind": kind, "seed": seed, "cap": cap, "starts": starts, "calls": calls,
        "faults": calls - len(service.delivered), "booked_less": max(0.0, service.bill_usd + tuned - paid.total()),
        "over": max(0.0, max(paid.values(), default=0.0) - cap) if cap is not None else 0.0,
        "twice": len(keys) - len(set(keys)), "again_usd": again, "jobs": len(getattr(service, "jobs", ())),
        "right": scores.get("tune_hosted" if kind == "jobs" else "prompt_plain") == 1.0,
    }  # fmt: skip


def _to_the_end(run: Contest) -> int | None:
    """How often it had to be started; None: it never ended."""
    for start in range(1, STARTS + 1):
        try:
            run.hold()
            return start
        except EndpointError:
            continue
    return None


def page(lines: list[dict[str, Any]]) -> str:
    """The table."""
    sides = [[line for line in lines if line["kind"] == kind] for kind in CAPS]

    def row(title: str, *values: Any) -> str:
        return f"| {title} | {' | '.join(map(str, values))} |"

    def largest(side: list[dict[str, Any]], name: str) -> str:
        most = max((line[name] for line in side), default=0.0)
        return f"{round(most, 12):.3g}"  # what lies below is rounding

    free = [[line for line in side if line["cap"] is None] for side in sides]
    rows = [
        row("fault schedules", *map(len, sides)),
        row("contests that ended", *(sum(line["starts"] is not None for line in side) for side in sides)),
        row("of them at the first start", *(sum(line["starts"] == 1 for line in side) for side in sides)),
        row("calls for answers", *(f"{sum(line['calls'] for line in side):,}" for side in sides)),
        row("of them spoilt", *(f"{sum(line['faults'] for line in side):,}" for side in sides)),
        row("without a cap: all answers there and right",
            *(f"{sum(line['right'] for line in side)} of {len(side)}" for side in free)),
        row("ledger lines that stand twice", *(sum(line["twice"] for line in side) for side in sides)),
        row("contests with two jobs for one training", "", sum(line["jobs"] > 1 for line in sides[1])),
        row("largest sum beyond a cap, usd", *(largest(side, "over") for side in sides)),
        row("largest sum billed and not booked, usd", *(largest(side, "booked_less") for side in sides)),
        row("paid when the finished run is run again, usd", *(f"{sum(x['again_usd'] for x in s):.3g}" for s in sides)),
    ]  # fmt: skip
    return HEAD.format(rows="\n".join(rows))


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="schedules of each kind")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no further one after so many")
    options = parser.parse_args()
    os.environ["FAKE_KEY"] = KEY
    known = LINES.read_text().splitlines() if LINES.exists() else []
    lines = [json.loads(line) for line in known]
    done, end = {(line["kind"], line["seed"]) for line in lines}, time.monotonic() + 60 * options.minutes
    for seed in range(options.seeds):
        for kind in CAPS:
            if (kind, seed) in done or time.monotonic() > end:
                continue
            with tempfile.TemporaryDirectory() as place:
                os.chdir(place)
                lines.append(held(kind, seed, Path(place)))
                os.chdir(HERE)
            with LINES.open("a") as out:
                out.write(json.dumps(lines[-1]) + "\n")
    PAGE.write_text(page(lines))


if __name__ == "__main__":
    main()
