"""From which volume on fine-tuning pays: a finished run's costs under your terms, without any model call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def breakeven(
    run: Annotated[Path, Argument(help="A finished run folder.")],
    volume: Annotated[str | None, Option(help="Requests: 2000/day, 60000/month, 1.5/s; default the run's.")] = None,
    wrong_answer_costs: Annotated[float, Option(min=0, help="Dollars that one wrong answer costs.")] = 0.0,
    months: Annotated[float, Option(min=0.1, help="Horizon.")] = 12.0,
    label_costs: Annotated[float, Option(min=0, help="Dollars for one labelled row.")] = 0.0,
    hosting: Annotated[list[str] | None, Option(metavar="WAY=USD", help="Hosting a day; repeatable.")] = None,
    price: Annotated[
        list[str] | None, Option(metavar="WAY=ENTRY", help="A way is served at an entry of the price file; repeatable.")
    ] = None,
    prices: Annotated[Path | None, Option(help="Price file; default ./prices.yaml, or the one that ships.")] = None,
    price_per_hour: Annotated[float | None, Option(min=0, help="Of this machine; default the run's.")] = None,
    retire_after: Annotated[float | None, Option(min=1, help="Days until the base model is retired.")] = None,
    retrain_costs: Annotated[float | None, Option(min=0, help="Of one retraining; default: as making it.")] = None,
    ways: Annotated[str | None, Option(metavar="A,B", help="Two ways; default the best prompt and fine-tune.")] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Break-even of two ways of a run, with its uncertainty and what each assumption does to it."""
    import json as as_json
    from dataclasses import replace

    from whichway.app.breakeven import pair, priced, training_error
    from whichway.app.open_results import results_of
    from whichway.app.prices import load
    from whichway.cli.units import MONTH, amounts, by_way, per_day
    from whichway.nouns import to_json
    from whichway.report.breakeven import lines
    from whichway.verdict.breakeven import Terms, break_even, costs_of, with_sensitivity

    results = results_of(run)
    book = load(prices) if price or prices else None
    hourly = book.machine_usd_per_hour if price_per_hour is None and book and prices else price_per_hour
    factor = 1.0 if hourly is None else hourly / (results.plan["price_per_hour"] or 1.0)
    arms = [priced(arm, factor, results.plan) for arm in results.scored_arms if arm.competes]
    names = [arm.way for arm in arms]
    entries = by_way("--price", price or (), names)
    terms = Terms(
        volume=float(results.plan["volume"]) if volume is None else per_day(volume),
        days=months * MONTH,
        wrong_answer_usd=wrong_answer_costs,
        label_usd=label_costs,
        hosting=tuple(sorted(amounts("--hosting", hosting or (), names).items())),
        prices=tuple((way, book.need(entry)) for way, entry in sorted(entries.items())) if book else (),
        retire_days=retire_after,
        retrain_usd=retrain_costs,
    )
    first, second = pair(arms, terms, results.plan["confidence"], ways)
    noise = training_error(arms, first.way, second.way, results.plan["confidence"])
    costs = (costs_of(first, terms), costs_of(second, terms))
    result = break_even(*costs, terms, first.groups, trainings=noise)
    result = with_sensitivity(result, first, second, replace(terms))
    if json:
        print(as_json.dumps(to_json(result), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(lines(result, terms)))
