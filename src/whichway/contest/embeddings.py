"""Texts as vectors at the bench: from the cache, or made now and kept, with what they took and who paid for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from whichway.contest.cache import Cache
from whichway.contracts import Backend, Embedding
from whichway.nouns import Prompt, Reply, Weights, digest
from whichway.prompts.nearest import embedder_of

CHUNK = 256  # texts read and kept at once: what a kill can cost


class Embeddings:
    """The vectors that one bench has asked for.

    Args:
        cache: of the run.
        backends: name -> backend.
        payer: the run, as the cache remembers who paid.
    """

    def __init__(self, cache: Cache, backends: Mapping[str, Backend], payer: str) -> None:
        self._cache, self._backends, self._payer = cache, backends, payer
        self._seconds: dict[tuple[str, str], float] = {}  # (revision, text) -> list seconds

    def get(self, encoder: Weights, texts: Sequence[str]) -> list[tuple[str, Embedding, str]]:
        """For each text its key, its vector, and the run that paid for it ("": this process, just now)."""
        backend = embedder_of(self._backends, encoder)
        keys = [digest(["embedding", backend.version, encoder.key, text], 32) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))  # equal texts once
        entries = self._cache.vectors(list(wanted))
        missing = [key for key in wanted if key not in entries]
        for start in range(0, len(missing), CHUNK):
            part = missing[start : start + CHUNK]
            fresh = dict(zip(part, backend.embed(encoder, [wanted[key] for key in part]), strict=True))
            self._cache.keep_vectors(fresh.items(), self._payer)
            entries |= {key: (embedding, "") for key, embedding in fresh.items()}
        for key, text in wanted.items():
            self._seconds[encoder.revision, text] = entries[key][0].seconds
        return [(key, *entries[key]) for key in keys]

    def timed(self, prompt: Prompt, text: str, reply: Reply) -> Reply:
        """The reply with the seconds that choosing its shots took: whoever serves the prompt pays them for each row."""
        seconds = self.seconds(prompt, text)
        return replace(reply, seconds=reply.seconds + seconds) if seconds else reply

    def seconds(self, prompt: Prompt, text: str) -> float:
        """What choosing the shots of a row took on this machine."""
        return 0.0 if prompt.encoder is None else self._seconds.get((prompt.encoder.revision, text), 0.0)
