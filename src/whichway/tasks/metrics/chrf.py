"""chrF: F-score over character n-grams (Popović 2015), by the `sacrebleu` package, on 0..1."""

from __future__ import annotations

from dataclasses import dataclass, field

from whichway.nouns import Example, Score
from whichway.tasks.metrics._text import Base


@dataclass(frozen=True, slots=True)
class Options:
    """Options of chrF; the defaults are chrF2."""

    char_order: int = field(default=6, metadata={"help": "longest character n-gram"})
    word_order: int = field(default=0, metadata={"help": "longest word n-gram; 2 gives chrF++"})
    beta: int = field(default=2, metadata={"help": "how much more recall counts than precision"})


class Metric(Base):
    """Sentence chrF divided by 100."""

    name = "chrf"
    title = "chrF"

    def __init__(self, options: Options) -> None:
        from sacrebleu.metrics.chrf import CHRF

        self.chrf = CHRF(char_order=options.char_order, word_order=options.word_order, beta=options.beta)

    def __call__(self, example: Example, text: str) -> Score:
        """Compare an answer with the target, by character n-grams."""
        if not text.strip():
            return Score(None, "empty answer")
        return Score(min(1.0, float(self.chrf.sentence_score(text, [example.target]).score) / 100))
