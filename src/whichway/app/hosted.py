"""What a run must know of models behind an API before its first call: prices, private data, a yes to the money."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from whichway.errors import OptionError

if TYPE_CHECKING:
    from whichway.contest import Components, Settings
    from whichway.contest.dry_run.simulate import Estimate
    from whichway.contracts import Backend, Hosted
    from whichway.nouns import Budget, Weights
    from whichway.verdict.breakeven import Price

Models = Sequence[tuple["Weights", "Hosted"]]


def hosted_of(bases: Iterable[Weights], backends: Mapping[str, Backend]) -> Models:
    """Those of some models that lie behind an API, each once, with their backends."""
    from whichway.contracts import Hosted

    by_base: dict[str, tuple[Weights, Hosted]] = {}
    for base in bases:
        backend = backends[base.backend]
        if isinstance(backend, Hosted):
            by_base[base.base] = (base, backend)
    return list(by_base.values())


def _free(weights: Weights, price: Price | None, backend: Hosted) -> bool:
    """Whether asking it costs nothing but time: its price is 0, or it has none and runs on a machine of the user's."""
    if price is None:
        return backend.stays(weights) or backend.near(weights)
    return not (price.new or price.cached or price.out or price.training)


def costs(components: Components) -> bool:
    """Whether a run will spend money on hosted models, as far as is known."""
    return any(
        not _free(weights, components.prices.get(weights.base), backend) for weights, backend in _models(components)
    )


def refuse_unasked(lines: list[str]) -> None:
    """Refuse to spend money that nobody has agreed to.

    Raises:
        OptionError: always; says what it would be.
    """
    raise OptionError("\n".join(["this run asks models that cost money:", *lines, "Say --yes to go on."]))


def refuse_hosted(models: Models) -> None:
    """Refuse models to which private data would be sent.

    Raises:
        OptionError: there is one; names it.
    """
    from whichway.contest.hosted_calls import refusal

    for weights, backend in models:
        if not backend.stays(weights):
            raise OptionError(refusal(weights.base))


def prices_of(models: Models) -> dict[str, Price | None]:
    """Word of each model -> its entry in the price file; None where there is none."""
    if not models:
        return {}
    from whichway.app import prices

    book = prices.load()
    return {weights.base: book.entries.get(backend.price_name(weights)) for weights, backend in models}


def about_hosted(models: Models) -> Iterator[str]:
    """What a reader of the verdict must know of them."""
    known = prices_of(models)
    for weights, backend in models:
        if known[weights.base] is None and not _free(weights, None, backend):
            yield (
                f"The price of {weights.base} is not known (no entry '{backend.price_name(weights)}' in the price "
                "file): its answers are counted by their seconds at this machine's price, which is not what they cost."
            )
        date = backend.retires(weights)
        if date:
            yield (
                f"{weights.base} is retired by its provider on {date}: a prompt for it has to be made and measured "
                "again for another model then."
            )


def refuse_unpriced(components: Components, budget: Budget) -> None:
    """Refuse a cap in dollars that could not be kept.

    Raises:
        OptionError: a model's price is not known.
    """
    unknown = [word for word, price in components.prices.items() if price is None]
    if budget.usd is not None and unknown:
        name = next(
            backend.price_name(weights) for weights, backend in _models(components) if weights.base == unknown[0]
        )
        raise OptionError(
            f"a budget of ${budget.usd:g} cannot be kept: the price of {unknown[0]} is not known. Add an entry "
            f"'{name}' to ./prices.yaml (copy the one that ships), or leave the budget in dollars out."
        )


def _models(components: Components) -> Models:
    """All models behind an API that a contest may ask."""
    return hosted_of([*components.bases, *([components.judge] if components.judge else [])], components.backends)


def check_keys(components: Components) -> None:
    """Look for the keys that the run will need, before anything is spent on it.

    Raises:
        ModelError: one is not set.
    """
    for weights, backend in _models(components):
        backend.check(weights)


def money_lines(components: Components, settings: Settings, estimate: Estimate | None) -> Iterator[str]:
    """Tokens and money of the hosted models, as they are said before the first call.

    Args:
        components: whose models.
        settings: the ways, and the cap in usd for each.
        estimate: the estimate; None where none was made.
    """
    from whichway.contest.plan import trains_hosted

    cap, training = settings.budget.usd, bool(trains_hosted(components, settings.ways))
    for word, price in components.prices.items():
        if price is None:
            yield f"{word}: price not known"
        else:
            yield (
                f"{word}: ${price.new:g} new, ${price.cached:g} cached, ${price.out:g} out per million tokens "
                f"({price.name}, as of {price.as_of})"
            )
            yield from _training_price(price, training)
    amounts = estimate.ways.items() if estimate else ()
    ways = {name: amount for name, amount in amounts if amount.tokens_in or amount.tokens_trained}
    wide = max((len(name) for name in ways), default=0)
    for name, amount in ways.items():
        trained = f", {amount.tokens_trained:,} trained" if amount.tokens_trained else ""
        yield (
            f"  {name:<{wide}}  {amount.tokens_in:>9,} tokens in, {amount.tokens_out:>7,} out{trained}: "
            f"{_usd(amount.usd)} ({_usd(amount.usd_low)} to {_usd(amount.usd_high)})"
        )
    if ways:
        low, middle, high = (
            sum(getattr(amount, name) for amount in ways.values()) for name in ("usd_low", "usd", "usd_high")
        )
        yield f"  in all about {_usd(middle)} ({_usd(low)} to {_usd(high)})"
    elif not estimate:
        yield "  no estimate (--no-probe)"
    yield "  no cap: --budget-usd sets one for each way" if cap is None else f"  never more than ${cap:g} for each way"


def _training_price(price: Price, training: bool) -> Iterator[str]:
    """What training costs, where some way trains at a service."""
    if not training:
        return
    if price.training is None or price.tuned is None:
        yield f"  training: price not known (`training` and `tuned` of the entry '{price.name}')"
        return
    tuned = price.tuned
    yield (
        f"  training: ${price.training:g} per million trained tokens, then ${tuned.new:g} new, ${tuned.cached:g} "
        f"cached, ${tuned.out:g} out ({tuned.name}, as of {tuned.as_of}). A job that has begun is paid as a whole"
    )


def _usd(amount: float) -> str:
    from whichway.report.formatting import usd

    return usd(amount)
