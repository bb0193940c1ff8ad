"""From a candidate and a row to the questions that a session gets, and from its replies to the one answer.

The bench, `predict` and the server all ask here, so that they ask the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from whichway.nouns import Candidate, Reply, Request
from whichway.prompts.answer_extraction import CLOSE, extract, spoken, vote
from whichway.prompts.nearest import Retrieve, by_words
from whichway.prompts.template import Row, channel_messages, messages


def questions(
    candidate: Candidate, row: Row, labels: Sequence[str] = (), repeat: int = 0, retrieve: Retrieve = by_words
) -> tuple[Request, ...]:
    """The requests whose replies make one answer: one, or as many as there are votes.

    Args:
        candidate: whose prompt and decoding.
        row: the row, or its text where that is all there is.
        labels: that may be chosen; none where text is written.
        repeat: the how-manieth answer to this row; the texts that it is read off have repeats of their own.
        retrieve: chooses the shots of the row, where the prompt has a pool.
    """
    decoding = candidate.decoding
    turns = (channel_messages if decoding.channel else messages)(candidate.prompt, row, retrieve)
    first = repeat * decoding.votes
    return tuple(Request(turns, decoding.without_votes, tuple(labels), first + k) for k in range(decoding.votes))


def answer(candidate: Candidate, replies: Sequence[Reply]) -> Reply:
    """The one answer of the replies to a row's `questions`; its tokens and seconds are theirs together.

    Reasoning before an answer is taken off it here, whichever backend replies. A text without the mark has no answer
    and does not vote. When none has one, `unread` says so.
    """
    decoding, replies = candidate.decoding, [_without_reasoning(reply) for reply in replies]
    if len(replies) == 1 and (not decoding.answer_mark or replies[0].unread):
        return replies[0]
    broken = next((reply for reply in replies if reply.finish == "error"), None)
    if broken is not None:
        return broken
    labels = candidate.prompt.labels
    mark = decoding.answer_mark
    read = [extract(reply.text, mark, labels) if mark else reply.text or None for reply in replies]
    chosen, votes = vote(read)
    shown = read.index(chosen) if chosen is not None else 0
    several = f"[{votes} of {len(replies)} texts]\n" if len(replies) > 1 else ""
    total = replies[0] if len(replies) == 1 else _summed(replies)
    if chosen is None:
        cut = sum(reply.finish == "length" for reply in replies)
        why = f"no '{mark}' with an answer after it" + (f"; {cut} of {len(replies)} texts were cut off" if cut else "")
        return replace(total, text=replies[0].text, unread=why)
    return replace(total, text=chosen, thoughts=several + replies[shown].text)


def _without_reasoning(reply: Reply) -> Reply:
    if CLOSE not in reply.text or reply.unread:
        return reply
    text, thoughts = spoken(reply.text)
    return replace(reply, text=text, thoughts=reply.thoughts or thoughts)


def _summed(replies: Sequence[Reply]) -> Reply:
    return Reply(
        replies[0].text,
        tokens_in=sum(reply.tokens_in for reply in replies),
        tokens_cached=sum(reply.tokens_cached for reply in replies),
        tokens_out=sum(reply.tokens_out for reply in replies),
        seconds=sum(reply.seconds for reply in replies),
        wall=sum(r.wall or 0.0 for r in replies) if any(r.wall is not None for r in replies) else None,
    )
