"""What is known of the model that reads a prompt: asked of a local one, or as the user declares it.

Limits of hosted APIs are those of their references, as of November 2026; model names stand nowhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whichway.errors import OptionError, did_you_mean
from whichway.lint import Provider

if TYPE_CHECKING:
    from whichway.contracts import Backend
    from whichway.nouns import Weights

DECLARED: dict[str, Provider] = {
    "openai": Provider("openai", chat=True, system=True, max_temperature=2.0, max_stops=4, cache_tokens=1024),
    "anthropic": Provider("anthropic", chat=True, system=True, max_temperature=1.0, cache_tokens=1024, ends_first=True),
    "google": Provider("google", chat=True, system=True, max_temperature=2.0, max_stops=5, cache_tokens=1024),
    "mistral": Provider("mistral", chat=True, system=True, max_temperature=1.5),
    "openai-compatible": Provider("openai-compatible", chat=True, system=True, max_temperature=2.0, max_stops=4),
}


def declared(name: str, context: int | None, reasoning: bool, usd_per_million: float | None) -> Provider:
    """A hosted provider with what the user says of the model.

    Raises:
        OptionError: an unknown provider.
    """
    if name not in DECLARED:
        raise OptionError(f"--provider {name}: unknown.{did_you_mean(name, DECLARED)}")
    return with_user_values(DECLARED[name], context, reasoning, usd_per_million)


def with_user_values(model: Provider, context: int | None, reasoning: bool, usd_per_million: float | None) -> Provider:
    """A provider with the user's own words in place of what was found."""
    return replace(
        model,
        context=model.context if context is None else context,
        reasoning=reasoning or model.reasoning,
        usd_per_million=model.usd_per_million if usd_per_million is None else usd_per_million,
    )


def local(backend: Backend, weights: Weights) -> Provider:
    """A model on this machine, through its own tokenizer and chat template; others are known by name only."""
    with backend.open(weights, None) as session:
        model: Any = getattr(session, "model", None)
        if model is None:
            return Provider(weights.backend, local=True)
        renderer = model.renderer
        tokenizer = renderer.tokenizer
        return Provider(
            weights.base,
            local=True,
            tokens=lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"]),
            context=model.context,
            chat=renderer.chat,
            system=renderer._system,
            bos=tokenizer.bos_token,
            specials=frozenset(tokenizer.all_special_tokens)
            | {token.content for token in tokenizer.added_tokens_decoder.values() if token.special},
            cache_tokens=1,
        )
