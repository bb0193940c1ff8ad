"""Texts as vectors at the bench: from the cache, or made now and kept, with what they took and who paid for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from whichway.contest.cache import Cache
from whichway.contest.rates import Pricing
from whichway.contracts import Backend, Embedder, Embedding
from whichway.nouns import Prompt, Reply, Weights, digest
from whichway.prompts.nearest import embedder_of

CHUNK = 256  # texts read and kept at once: what a kill can cost


def embedding_key(backend: Embedder, encoder: Weights, text: str) -> str:
    """The key of a text's vector in the cache."""
    return digest(["embedding", backend.version, encoder.key, text], 32)


@dataclass(frozen=True, slots=True)
class BoughtEmbedding:
    """A vector with its price."""

    key: str
    embedding: Embedding
    paid_by: str  # the run that paid for it; "": this process, just now
    seconds: float  # list
    wall: float | None  # by the clock, where the list's are others


class Embeddings:
    """The vectors that one bench has asked for.

    Args:
        cache: of the run.
        backends: name -> backend.
        payer: the run, as the cache remembers who paid.
        pricing: of the run.
    """

    def __init__(self, cache: Cache, backends: Mapping[str, Backend], payer: str, pricing: Pricing) -> None:
        self._cache, self._backends, self._payer, self._pricing = cache, backends, payer, pricing
        self._seconds: dict[tuple[str, str], tuple[float, float | None]] = {}  # (revision, text) -> list, wall

    def get(self, encoder: Weights, texts: Sequence[str]) -> list[BoughtEmbedding]:
        """The vector of each text."""
        backend = embedder_of(self._backends, encoder)
        keys = [embedding_key(backend, encoder, text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))  # equal texts once
        with self._cache.reserved(list(wanted), self._cache.vectors):
            entries = self._cache.vectors(list(wanted))
            missing = [key for key in wanted if key not in entries]
            for start in range(0, len(missing), CHUNK):
                part = missing[start : start + CHUNK]
                fresh = dict(zip(part, backend.embed(encoder, [wanted[key] for key in part]), strict=True))
                self._cache.keep_vectors(fresh.items(), self._payer)
                entries |= {key: (embedding, "") for key, embedding in fresh.items()}
        prices = self._pricing.embeddings(backend, encoder, [entries[key][0] for key in wanted])
        bought = {}
        for (key, text), price in zip(wanted.items(), prices, strict=True):
            self._seconds[encoder.revision, text] = price
            bought[key] = BoughtEmbedding(key, *entries[key], *price)
        return [bought[key] for key in keys]

    def timed(self, prompt: Prompt, text: str, reply: Reply) -> Reply:
        """The reply with the seconds that choosing its shots took: whoever serves the prompt pays them for each row."""
        seconds, wall = self._taken(prompt, text)
        if not seconds:
            return reply
        by_clock = None if reply.wall is None and wall is None else (
            (reply.seconds if reply.wall is None else reply.wall) + (seconds if wall is None else wall)
        )  # fmt: skip
        return replace(reply, seconds=reply.seconds + seconds, wall=by_clock)

    def seconds(self, prompt: Prompt, text: str) -> float:
        """What choosing the shots of a row costs on this machine, in list seconds."""
        return self._taken(prompt, text)[0]

    def _taken(self, prompt: Prompt, text: str) -> tuple[float, float | None]:
        nothing = (0.0, None)
        return nothing if prompt.encoder is None else self._seconds.get((prompt.encoder.revision, text), nothing)
