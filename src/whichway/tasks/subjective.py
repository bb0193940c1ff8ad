"""Whether a task asks for a judgement on which people differ: there, labels and rows of a model teach worse.

Students of synthetic rows fell behind those of people's rows most on subjective tasks (sarcasm, humour, irony,
emotion), and on single rows on which people disagreed (Li et al. 2023, arXiv 2310.07849).
"""

from __future__ import annotations

import re

from whichway.nouns import Task

SOURCE = "arXiv 2310.07849"
_STEMS = (
    "abusive", "appropriate", "attitude", "beautiful", "emotion", "feeling", "friendl", "funny", "hate", "hateful",
    "humor", "humour", "insult", "irony", "ironic", "likeable", "mood", "offensive", "opinion", "persuasive", "polite",
    "rude", "sarcas", "sentiment", "stance", "subjectiv", "tone", "toxic",
)  # fmt: skip
_SIGN = re.compile(rf"\b(?:un|im)?(?:{'|'.join(_STEMS)})\w*", re.IGNORECASE)
_FEELINGS = frozenset({"anger", "angry", "disgust", "fear", "happy", "joy", "love", "negative", "sad", "sadness"})


def subjective_word(task: Task) -> str:
    """The word in ask, name or labels by which a task looks subjective; "" where none does.

    A word can mislead ("the tone of a signal"), so that it is a warning, never a refusal.
    """
    text = " ".join([task.ask, task.name.replace("_", " ").replace("-", " "), *task.labels])
    match = _SIGN.search(text)
    if match:
        return match[0].lower()
    named = sorted(label for label in task.labels if label.casefold() in _FEELINGS)
    return named[0] if named else ""
