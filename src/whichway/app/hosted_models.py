"""What is known of models behind an API, for a reader: address, name of the key, price, capabilities. Never a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whichway.models.shelf import HostedEndpoint
    from whichway.verdict.breakeven import Price


def endpoint_lines() -> Iterator[str]:
    """A line for each model behind an API that models.yaml holds."""
    from whichway.models import shelf

    for name, endpoint in shelf.load().endpoints.items():
        offered = ", ".join(endpoint.capabilities or ()) or "capabilities found out by asking"
        yield f"--model {name}  at {endpoint.base_url}; {key_text(endpoint)}; {_price(endpoint)[0]}; {offered}"


def endpoint_facts(endpoint: HostedEndpoint) -> Iterator[tuple[str, str]]:
    """All that is known of one, as pairs of a heading and a text."""
    yield "model", f"{endpoint.model}, asked by {endpoint.api}"
    yield "address", endpoint.base_url
    yield "key", key_text(endpoint).removeprefix("key ")
    name, price = _price(endpoint)
    yield "price", name.removeprefix("price ") if price is None else _amounts(price)
    offered = endpoint.capabilities
    yield "offers", "found out by asking" if offered is None else ", ".join(offered) or "plain text"
    yield "limits", f"{endpoint.concurrency} requests at once, {endpoint.timeout_seconds:g} s for each"
    if endpoint.thinking_tokens:
        yield "reasoning", f"up to {endpoint.thinking_tokens:,} tokens besides an answer's own"
    if endpoint.retires:
        yield "retires", endpoint.retires
    yield "data", "may be private (local: true)" if endpoint.local else "leave this machine: not for private data"


def key_text(endpoint: HostedEndpoint) -> str:
    """The name of the key, and whether and where it is set."""
    from whichway.backends._openai import keys

    if not endpoint.key:
        return "no key"
    place = keys.place_of(endpoint.key)
    return f"key {endpoint.key} " + (f"set ({place})" if place else "not set")


def _price(endpoint: HostedEndpoint) -> tuple[str, Price | None]:
    from whichway.app import prices

    name = endpoint.price or endpoint.model
    price = prices.load().entries.get(name)
    return (f"price {name}", price) if price else (f"price not known (no entry {name})", None)


def _amounts(price: Price) -> str:
    return (
        f"{price.name}: ${price.new:g} new, ${price.cached:g} cached, ${price.out:g} out per million tokens, "
        f"as of {price.as_of}"
    )
