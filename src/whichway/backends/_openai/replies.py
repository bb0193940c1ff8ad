"""An endpoint's answer as a reply: text and thoughts apart, refusals and cut-offs as outcomes, tokens as counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from whichway.backends._openai import label_reading
from whichway.backends._openai.label_reading import Token
from whichway.backends._openai.requests import Usage
from whichway.nouns import Reply
from whichway.prompts.answer_extraction import spoken

SHOWN = 120  # characters of an unread answer that a message repeats
CHARACTERS_PER_TOKEN = 3  # where the endpoint does not count, carefully


class Unreadable(Exception):
    """A body that is no answer."""


def reply_of(body: Mapping[str, Any], most: Usage, sent: int, labels: Sequence[str] = ()) -> Reply:
    """The reply in the body of a chat completion or a completion. Only the first choice counts.

    Args:
        body: as it came.
        most: tokens that it can have been billed at most.
        sent: bytes of the prompt.
        labels: one of which is wanted; empty for text.

    Raises:
        Unreadable: it holds no answer.
    """
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping):
        raise Unreadable("the answer has no choices")
    text, thoughts, refusal = _message(choice)
    used = usage_of(body, most, sent, text + thoughts)
    reply = Reply(text, used.tokens_in, used.tokens_cached, used.tokens_out, thoughts=thoughts)
    finish = choice.get("finish_reason")
    if refusal:
        return replace(reply, text=refusal, unread=f"refused: {refusal[:SHOWN]}")
    if finish == "content_filter":
        return replace(reply, unread="stopped by the provider's content filter")
    if finish == "length":
        reply = replace(reply, finish="length")
        if not text.strip():
            return replace(reply, unread=_cut_in_thoughts(body, used))
    elif not text.strip() and thoughts:
        return replace(reply, unread="it has thoughts and no answer")
    return _label(reply, tokens_of(choice), labels) if labels else reply


def _cut_in_thoughts(body: Mapping[str, Any], used: Usage) -> str:
    details = (body.get("usage") or {}).get("completion_tokens_details") or {}
    thought = details.get("reasoning_tokens") or 0
    share_text = f", {thought} of them reasoning" if thought else ""
    return f"cut off after {used.tokens_out} tokens{share_text}, before an answer: raise thinking_tokens in models.yaml"


def _label(reply: Reply, tokens: Sequence[Token], labels: Sequence[str]) -> Reply:
    label = label_reading.read(reply.text, labels)
    if label is None:
        cut = ", cut off" if reply.finish == "length" else ""
        return replace(reply, unread=f"none of the labels{cut}: {reply.text.strip()[:SHOWN]!r}")
    scores = label_reading.scores(tokens, labels) if tokens else {}
    return replace(reply, text=label, scores=scores, finish="stop")


def _message(choice: Mapping[str, Any]) -> tuple[str, str, str]:
    """Text, thoughts and refusal of a choice."""
    message = choice.get("message")
    if message is None and isinstance(choice.get("text"), str):  # a completion
        text, thoughts = spoken(choice["text"])
        return text, thoughts, ""
    if not isinstance(message, Mapping):
        raise Unreadable("the answer has no message")
    content, thoughts = _parts(message.get("content"))
    answer_text, inside = spoken(content)
    apart = message.get("reasoning_content") or message.get("reasoning") or ""
    thoughts = "\n".join(filter(None, (apart if isinstance(apart, str) else "", thoughts, inside)))
    refusal = message.get("refusal")
    return answer_text, thoughts, refusal if isinstance(refusal, str) else ""


def _parts(content: Any) -> tuple[str, str]:
    """Text and thoughts of a content that may consist of parts."""
    if not isinstance(content, list):
        return (content if isinstance(content, str) else ""), ""
    parts = [part for part in content if isinstance(part, Mapping)]
    texts = [str(part.get("text") or "") for part in parts if part.get("type") == "text"]
    thoughts = [_parts(part.get("thinking"))[0] for part in parts if part.get("type") == "thinking"]
    return "".join(texts), "".join(thoughts)


def tokens_of(choice: Mapping[str, Any]) -> list[Token]:
    """The written tokens with their alternatives; none where the endpoint does not show them."""
    shown = choice.get("logprobs")
    if not isinstance(shown, Mapping):
        return []
    try:
        if isinstance(shown.get("content"), list):
            return [_token(part) for part in shown["content"]]
        texts, own, other = (shown.get(name) or [] for name in ("tokens", "token_logprobs", "top_logprobs"))
        return [
            Token(text, float(logprob), tuple((str(t), float(p)) for t, p in (alternatives or {}).items()))
            for text, logprob, alternatives in zip(texts, own, other, strict=False)
        ]
    except (TypeError, KeyError, ValueError, AttributeError):  # in a form of its own: scores are an extra
        return []


def _token(part: Mapping[str, Any]) -> Token:
    others = tuple((str(other["token"]), float(other["logprob"])) for other in part.get("top_logprobs") or ())
    return Token(str(part["token"]), float(part["logprob"]), others)


def spelled(choice: Mapping[str, Any], start: int, end: int, last: int) -> list[float]:
    """Log-probabilities of echoed tokens that begin between two places of the text; [] where it was not echoed.

    Args:
        choice: of a completion.
        start: where the label begins, its space included.
        end: where it ends.
        last: tokens that begin here or later are left out.
    """
    shown = choice.get("logprobs")
    if not isinstance(shown, Mapping) or len(str(choice.get("text") or "")) < end:
        return []
    pairs = zip(shown.get("text_offset") or (), shown.get("token_logprobs") or (), strict=False)
    return [float(value) for place, value in pairs if start <= place < last and value is not None]


def misplaced(choice: Mapping[str, Any]) -> bool:
    """Whether echoed log-probabilities stand one token too early, each under the distribution after its own token.

    llama-cpp-python's server does this for models without a BOS token. It shows where the token that was written after
    the echo is missing among those with log-probabilities.
    """
    shown, text = choice.get("logprobs"), str(choice.get("text") or "")
    if not isinstance(shown, Mapping) or not shown.get("tokens") or not shown.get("text_offset"):
        return False
    return int(shown["text_offset"][-1]) + len(str(shown["tokens"][-1])) < len(text)


def usage_of(body: Mapping[str, Any], most: Usage, sent: int, text: str) -> Usage:
    """Tokens as the endpoint counts them; where it does not, or where that cannot be, as their bytes tell.

    Args:
        body: of the answer.
        most: what can have been billed at most.
        sent: bytes of the prompt.
        text: that was written, thoughts included.
    """
    usage = body.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    whole = _count(usage.get("prompt_tokens"), most.tokens_in) or -(-sent // CHARACTERS_PER_TOKEN)
    out = _count(usage.get("completion_tokens"), most.tokens_out)
    if out is None or (out == 0 and text):
        out = min(most.tokens_out, -(-len(text.encode()) // CHARACTERS_PER_TOKEN))
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, Mapping) else {}
    cached = _count(details.get("cached_tokens", usage.get("prompt_cache_hit_tokens")), whole) or 0
    return Usage(whole - cached, cached, out)


def _count(value: Any, most: int) -> int | None:
    """A number of tokens that can be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None
