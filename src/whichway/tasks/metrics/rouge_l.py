"""ROUGE-L: longest common subsequence of words (Lin 2004), by the `rouge-score` package.

Departs from its default tokenizer, which drops all letters outside a-z: here words of every script count.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from whichway.nouns import Example, Score
from whichway.tasks.metrics._text import Base, words


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ROUGE-L."""

    stemmer: bool = field(default=False, metadata={"help": "compare English word stems (Porter)"})


class _Tokenizer:
    def __init__(self, stemmer: bool) -> None:
        from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]

        self.stem = PorterStemmer().stem if stemmer else None

    def tokenize(self, text: str) -> list[str]:
        return [self.stem(word) if self.stem and len(word) > 3 else word for word in words(text)]


class Metric(Base):
    """ROUGE-L F-measure."""

    name = "rouge_l"
    title = "ROUGE-L"

    def __init__(self, options: Options) -> None:
        from rouge_score.rouge_scorer import RougeScorer

        self.scorer = RougeScorer(["rougeL"], tokenizer=_Tokenizer(options.stemmer))

    def __call__(self, example: Example, text: str) -> Score:
        """Compare an answer with the target, by longest common subsequence."""
        if not text.strip():
            return Score(None, "empty answer")
        return Score(float(self.scorer.score(example.target, text)["rougeL"].fmeasure))
