"""Chooses tokens as a server's client asks: a nucleus, answers that fit a JSON schema, log-probabilities."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whichway.backend_contracts import TokenLogprob, WriteRequest
from whichway.engine.infer.generate import Sampler
from whichway.engine.model.chat_template import Renderer
from whichway.errors import UserError

# On one line, as Python writes it: small models that may write any space write spaces without end.
_SPACES = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class TokenSampler(Sampler):
    """Chooses a row's next token and notes log-probabilities where they are wanted.

    Args:
        query: what the client wants.
        ids: of the whole prompt.
        renderer: of the model.
        size: of the vocabulary.
    """

    def __init__(self, query: WriteRequest, ids: list[int], renderer: Renderer, size: int) -> None:
        super().__init__(query.request, ids)
        self._top_p, self._top = query.top_p, query.top_logprobs
        self._renderer = renderer
        self._grammar = Grammar(query.schema, renderer, size) if query.schema else None
        self.noted: list[TokenLogprob] = []

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is taken, and nothing is noted."""
        return super().plain and self._grammar is None and self._top is None

    @property
    def complete(self) -> bool:
        """Whether the schema leaves nothing to write."""
        return self._grammar is not None and self._grammar.complete

    def __call__(self, logits: Tensor) -> int:
        """A token by logits `[V]`."""
        logits = logits.float().cpu()
        fitting = logits if self._grammar is None else self._grammar.fitting(logits)
        if self.temperature > 0:
            chances = self._nucleus((fitting / self.temperature).softmax(-1))
            token = int(torch.multinomial(chances, 1, generator=self.generator))
        else:
            token = int(fitting.max(-1).indices)
        if self._grammar is not None:
            self._grammar.accept(token)
        if self._top is not None:
            self._note(token, logits)
        return token

    def _nucleus(self, chances: Tensor) -> Tensor:
        """The chances of the likeliest tokens that make up `top_p` together; 0 for the others."""
        if self._top_p >= 1:
            return chances
        ordered, places = chances.sort(descending=True)
        before = ordered.cumsum(-1) - ordered
        ordered[before >= self._top_p] = 0.0  # the likeliest always stays
        return torch.zeros_like(chances).scatter(0, places, ordered)

    def _note(self, token: int, logits: Tensor) -> None:
        logprobs = logits.log_softmax(-1)
        values, places = logprobs.topk(min(self._top or 0, len(logprobs)))
        likeliest = tuple(
            (self._renderer.token_text(place), value)
            for place, value in zip(places.tolist(), values.tolist(), strict=True)
        )
        self.noted.append(TokenLogprob(self._renderer.token_text(token), float(logprobs[token]), likeliest))


class Grammar:
    """What a JSON schema lets follow; by llguidance.

    Args:
        schema: JSON text.
        renderer: of the model.
        size: of the vocabulary, as the logits have it.

    Raises:
        UserError: the schema is none, or asks for what is not supported.
    """

    def __init__(self, schema: str, renderer: Renderer, size: int) -> None:
        import llguidance

        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, defaults=_SPACES)  # type: ignore[arg-type]
            self._matcher = llguidance.LLMatcher(_tokenizer(renderer, size), grammar)
            problem = self._matcher.get_error()
        except ValueError as error:
            problem = str(error)
        if problem:
            raise UserError(f"the JSON schema cannot be followed: {problem.splitlines()[0]}")
        self._size = size

    @property
    def complete(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped())

    def fitting(self, logits: Tensor) -> Tensor:
        """The logits of tokens that may follow; the others' are -inf."""
        # Not by `llguidance.torch`, which has the mask's kernel compiled at its first use: minutes on a busy machine.
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        return logits.masked_fill(torch.from_numpy(bits[: self._size] == 0), float("-inf"))

    def accept(self, token: int) -> None:
        """Go on behind a token."""
        self._matcher.consume_token(token)


@functools.lru_cache(maxsize=4)
def _tokenizer(renderer: Renderer, size: int) -> Any:
    """The model's tokenizer for llguidance; to make it takes about a second."""
    import llguidance.hf

    return llguidance.hf.from_tokenizer(renderer.tokenizer, n_vocab=size, eos_token=sorted(renderer.ends))
