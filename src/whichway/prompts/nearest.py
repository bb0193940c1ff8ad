"""Shots chosen for each row: the rows of a pool that are most like it, by their words.

Liu et al. 2022 (arXiv 2101.06804) choose by sentence embeddings; words need no second model. The shots differ from row
to row, so the prompt's prefix cannot be shared.
"""

from __future__ import annotations

from functools import lru_cache

from whichway.nouns import Prompt, Shot
from whichway.prompts.tfidf import Index


def nearest(prompt: Prompt, text: str) -> tuple[Shot, ...]:
    """The `prompt.nearest` shots of its pool that are most like a row, the most similar last.

    Args:
        prompt: with a pool.
        text: the row's input; a shot of the same text is left out.
    """
    if not prompt.nearest or not prompt.pool:
        return ()
    best = _index(prompt.pool).nearest(text, prompt.nearest)
    return tuple(prompt.pool[place] for place in reversed(best))


@lru_cache(maxsize=16)
def _index(pool: tuple[Shot, ...]) -> Index:
    return Index([shot.text for shot in pool])
