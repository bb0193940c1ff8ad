"""Answers in the shapes of OpenAI's chat protocol: whole, and as the chunks of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whichway.contracts import TokenLogprob
from whichway.nouns import Reply
from whichway.ship.protocol import Chat


def answered(reply: Reply, stops: Sequence[str]) -> tuple[str, str]:
    """Text and finish reason, cut at the client's stop texts."""
    cuts = [reply.text.find(stop) for stop in stops if stop and stop in reply.text]
    if cuts:
        return reply.text[: min(cuts)], "stop"
    return reply.text, "length" if reply.finish == "length" else "stop"


def usage(replies: Sequence[Reply]) -> dict[str, Any]:
    """Tokens, counted by the engine."""
    cached = sum(r.tokens_cached for r in replies)
    tokens_in = sum(r.tokens_in for r in replies) + cached
    tokens_out = sum(r.tokens_out for r in replies)
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def label_tokens(reply: Reply, top: int) -> tuple[TokenLogprob, ...]:
    """A chosen label as if it were one token: its log-probability among the labels, and the likeliest of them."""
    if not reply.scores:
        return ()
    likeliest = sorted(reply.scores.items(), key=lambda pair: -pair[1])[:top]
    return (TokenLogprob(reply.text, reply.scores[reply.text], tuple(likeliest)),)


def logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Log-probabilities as OpenAI's chats have them."""
    lines = [
        {**_token(t.text, t.logprob), "top_logprobs": [_token(text, number) for text, number in t.likeliest]}
        for t in tokens
    ]
    return {"content": lines, "refusal": None}


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": max(logprob, -9999.0), "bytes": list(text.encode())}


def completion(
    chat: Chat, replies: Sequence[Reply], tokens: Sequence[Sequence[TokenLogprob]], head: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of a whole answer; `scores` (log-probabilities of the labels) is our extension.

    Args:
        chat: what was asked.
        replies: one for each choice.
        tokens: the tokens of each, where they were asked for.
        head: id, created, model.
    """
    choices = []
    for index, (reply, noted) in enumerate(zip(replies, tokens, strict=True)):
        text, finish = answered(reply, chat.stops)
        choice: dict[str, Any] = {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "finish_reason": finish,
            "logprobs": logprobs(noted) if chat.logprobs else None,
        }
        if reply.scores:
            choice["scores"] = {label: round(score, 6) for label, score in reply.scores.items()}
        choices.append(choice)
    return {**head, "object": "chat.completion", "choices": choices, "usage": usage(replies)}


class ChatChunks:
    """The chunks of a stream.

    Args:
        chat: what was asked.
        head: id, created, model.
    """

    def __init__(self, chat: Chat, head: Mapping[str, Any]) -> None:
        self._wants_usage = chat.wants_usage
        self._envelope = {**head, "object": "chat.completion.chunk", **({"usage": None} if self._wants_usage else {})}
        self._logprobs = chat.logprobs

    def first(self, index: int) -> dict[str, Any]:
        """Who speaks."""
        return self._chunk(index, {"role": "assistant", "content": ""}, None)

    def text(self, index: int, text: str, tokens: Sequence[TokenLogprob] = ()) -> dict[str, Any]:
        """A piece of a choice's text."""
        chunk = self._chunk(index, {"content": text}, None)
        if self._logprobs:
            chunk["choices"][0]["logprobs"] = logprobs(tokens)
        return chunk

    def last(self, index: int, finish: str) -> dict[str, Any]:
        """Why a choice ends."""
        return self._chunk(index, {}, finish)

    def usage(self, replies: Sequence[Reply]) -> list[dict[str, Any]]:
        """The tokens, where they were asked for."""
        return [{**self._envelope, "choices": [], "usage": usage(replies)}] if self._wants_usage else []

    def _chunk(self, index: int, delta: dict[str, str], finish: str | None) -> dict[str, Any]:
        return {**self._envelope, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}
