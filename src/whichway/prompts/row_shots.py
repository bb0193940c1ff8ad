"""The worked examples that one row is shown: the most similar of the pool, as many as there is room for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from whichway.nouns import Prompt, Shot
from whichway.prompts.nearest import Retrieve, by_words


def row_shots(
    prompt: Prompt, text: str, retrieve: Retrieve = by_words, without: Collection[str] = ()
) -> tuple[Shot, ...]:
    """The shots of the prompt's pool for one row, the most similar last; never one of the row's own text.

    Args:
        prompt: with a pool; `nearest` says how many, `shot_characters` how long they may be together.
        text: the row's input.
        retrieve: chooses among the pool.
        without: texts of the pool that this row must not be shown.
    """
    widened = replace(prompt, nearest=prompt.nearest + len(without)) if without and prompt.nearest else prompt
    candidates = [shot for shot in retrieve(widened, text) if shot.text not in without]
    return fitting(candidates[max(0, len(candidates) - prompt.nearest) :], prompt.shot_characters)


def fitting(shots: Sequence[Shot], characters: int) -> tuple[Shot, ...]:
    """The shots that fit into so many characters, the last ones first; in their order. 0: all of them."""
    if not characters:
        return tuple(shots)
    chosen: list[Shot] = []
    for shot in reversed(shots):
        size = len(shot.text) + len(shot.answer)
        if size <= characters:
            characters -= size
            chosen.append(shot)
    return tuple(reversed(chosen))
