"""`POST /v1/embeddings`, where the run has a sentence encoder: texts as vectors of length 1."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from whichway.contracts import Backend, Embedder
from whichway.errors import did_you_mean
from whichway.nouns import Weights
from whichway.ship.chat_routes import shown_errors
from whichway.ship.protocol import Refused, checked
from whichway.ship.served_models import ServedModel

if TYPE_CHECKING:
    from starlette.requests import Request as Call
    from starlette.responses import Response

TEXTS = 2048  # of one request, as OpenAI has it


class EmbeddingRequest(BaseModel):
    """The body of `POST /v1/embeddings`."""

    model_config = ConfigDict(extra="forbid")
    model: str
    input: str | list[str] = Field(min_length=1)
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class EmbeddingRoute:
    """The handler and what it needs.

    Args:
        models: model id -> what it stands for; their encoders are served.
        backends: backend name -> backend.
    """

    def __init__(self, models: Mapping[str, ServedModel], backends: Mapping[str, Backend]) -> None:
        self._backends = backends
        self.encoders = {_name(weights): weights for weights in encoders(models)}
        self._one = asyncio.Lock()  # the encoder works for one call at a time

    async def embed(self, call: Call) -> Response:
        """Turn texts into vectors."""
        from starlette.responses import JSONResponse

        query = checked(EmbeddingRequest, await call.body())
        if query.model not in self.encoders:
            known = did_you_mean(query.model, self.encoders) if self.encoders else " This run has no encoder."
            raise Refused(f"there is no encoder '{query.model}'.{known}", "model", 404, "model_not_found")
        texts = [query.input] if isinstance(query.input, str) else query.input
        if len(texts) > TEXTS or not all(texts):
            raise Refused(f"input: 1 to {TEXTS} texts, none of them empty", "input")
        call.state.model = query.model
        weights = self.encoders[query.model]
        backend = self._backends[weights.backend]
        assert isinstance(backend, Embedder)
        with shown_errors():
            async with self._one:
                embeddings = await asyncio.to_thread(backend.embed, weights, texts)
        size = len(embeddings[0].vector)
        if query.dimensions not in (None, size):
            raise Refused(f"dimensions: the vectors of '{query.model}' have {size} numbers", "dimensions")
        vectors = [_written(embedding.vector, query.encoding_format) for embedding in embeddings]
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        tokens = sum(embedding.tokens for embedding in embeddings)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": data, "model": query.model, "usage": usage})


def encoders(models: Mapping[str, ServedModel]) -> Iterator[Weights]:
    """The sentence encoders that candidates stand on, or choose their shots by."""
    for served in models.values():
        if served.weights.backend == "encoder":
            yield Weights("encoder", served.weights.base, served.weights.revision)
        if served.candidate is not None and served.candidate.prompt.encoder is not None:
            yield served.candidate.prompt.encoder


def _name(weights: Weights) -> str:
    """An encoder's model id: its name, or that of its folder."""
    return weights.base.rstrip("/").rpartition("/")[2]


def _written(vector: Any, form: str) -> Any:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if form == "base64" else vector.tolist()
