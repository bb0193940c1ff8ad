"""What decides the weights of each stage: sizes, shares of the data, rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Share of a task's rows that is used. The model is to follow a list of labels, to learn from examples and to keep to a
# format; what it cannot learn at this size (sums, SQL) is left out, what teaches plain language only is thinned out.
SHARES = {
    "math": 0.0,
    "sql": 0.0,
    "dialogue": 0.15,
    "qa": 0.25,
    "support": 0.3,
    "support_chat": 0.5,
    "textop": 0.4,
    "rewrite": 0.4,
    "generate": 0.5,
}

HEALTH = ("medquad", "openstax_anatomy_physiology", "openstax_microbiology")
NOVELS = ("classic_books", "eltec_eng", "nltk_open")  # no subjects under headings
# Of the subjects that are asked; what is left goes to all other sources but the novels.
SUBJECTS = {"medquad": 0.35, "openstax_anatomy_physiology": 0.12, "openstax_microbiology": 0.08}


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights. Sizes in tokens."""

    hidden: int = 256
    layers: int = 6
    heads: int = 4
    intermediate: int = 640
    context: int = 2048
    lengths: tuple[int, ...] = (128, 256, 512, 1024, 2048)  # of the packed sequences
    batch: int = 8192  # tokens per step
    warmup_steps: int = 60
    decay_start: int = 1900  # step at which the rate begins to fall, and plain text is left out
    steps: int = 2400
    text_size: int = 256  # pieces of plain text
    text_tokens: float = 8e6
    text_share: float = 0.1  # of the steps, while the rate is stable
    own_share: float = 0.35  # of the steps: rows of our own (`episodes.py`)
    learning: int = 70_000  # tasks to be learned from their earlier turns
    nearest: int = 0  # tasks whose earlier turns are the rows most like the question
    formats: int = 50_000  # questions with a format
    subjects: int = 0  # passages whose subject is asked (`subjects.py`)
    chat_tokens: float = math.inf
    text_sources: tuple[str, ...] = ()  # of plain text; (): all
    counted: float = 70e6  # tokens of plain text that the first embeddings are counted on, beside all chat
    window: int = 6
    shift: float = 0.5
    # 0: first embeddings are the counted ones; else a finished model's, moved towards vectors so wide
    renewed: int = 0
    rotary: float = 500_000.0
    head_share: float = 0.17  # share of all positions at which head and loss are computed
    prompt_weight: float = 0.25  # of a token that is no answer, beside 1 for an answer's
    answer_tokens: float = 6.0  # a longer answer weighs no more than one of so many tokens
    muon_rate: float = 3e-3
    embed_rate: float = 8e-4
    norm_rate: float = 2e-3
    kept: float = 0.0  # share of the weights it started from in what is exported
    seed: int = 17

    def decaying(self, step: int) -> bool:
        """Whether the rate falls; then plain text is left out."""
        return step >= self.decay_start

    def rate(self, step: int) -> float:
        """Factor on the peak rates: warm-up, stable, linear decay."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return min(1.0, (self.steps - step) / (self.steps - self.decay_start))


STAGES = {
    "wide": Recipe(),
    "near": Recipe(
        warmup_steps=40,
        decay_start=450,
        steps=900,
        text_share=0.05,
        own_share=0.55,
        learning=6_000,
        nearest=22_000,
        formats=8_000,
        muon_rate=2e-3,
        embed_rate=4e-4,
        norm_rate=1e-3,
        seed=18,
    ),
    "subjects": Recipe(
        warmup_steps=30,
        decay_start=480,
        steps=840,
        text_share=0.2,
        own_share=0.65,
        learning=1_500,
        nearest=4_000,
        formats=3_000,
        subjects=20_000,
        chat_tokens=3e6,
        text_sources=HEALTH,
        text_tokens=70e6,
        window=8,
        renewed=200,
        head_share=0.3,
        muon_rate=2e-3,
        embed_rate=6e-4,
        norm_rate=1e-3,
        kept=0.4,
        seed=19,
    ),
}
