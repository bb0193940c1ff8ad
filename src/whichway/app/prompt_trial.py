"""One prompt against the kept one on a growing sample of dev rows, paired, until the difference is clear.

Rows come in the order of the race (a hash of content, groups in one piece). After each block the asymptotic confidence
sequence of `verdict.sequential` is looked at; it holds at every look together, so stopping when it excludes 0 is no
cheating. A metric that is no mean over rows has no such sequence: every dev row is answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from whichway.app.lint_effect import PromptScorer
from whichway.nouns import LATE, Candidate, Example, Prompt, Record
from whichway.scoring import clusters, is_mean, paired, scores_of
from whichway.verdict.sequential import paired_sequence

if TYPE_CHECKING:
    from whichway.contracts import Metric

BLOCK = 25  # rows at a time


@dataclass(slots=True)
class ScoredPrompt:
    """A prompt with its answers so far, in the order of the rows."""

    prompt: Prompt
    candidate: Candidate
    records: list[Record] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PromptEvaluation:
    """What a prompt did, beside the kept one on the same rows."""

    prompt: Prompt
    rows: int
    of: int
    score: float
    low: float | None
    high: float | None
    kept_score: float
    difference: float
    difference_low: float | None  # valid at every look; None where the metric has no sequence or rows are too few
    difference_high: float | None
    better: tuple[int, ...]  # places of rows that the new prompt answers better
    worse: tuple[int, ...]
    unparsed: int
    seconds: float  # of this trial, by the clock
    usd_per_1000: float
    tokens_in: float  # per row
    tokens_cached: float
    tokens_out: float
    plain: bool = field(default=False, metadata=LATE)  # scores are plain numbers, not read in percent

    @property
    def clear(self) -> bool:
        """Whether the difference is shown."""
        low, high = self.difference_low, self.difference_high
        return low is not None and high is not None and (low > 0 or high < 0)

    @property
    def early(self) -> bool:
        """Whether it stopped before all rows."""
        return self.rows < self.of


class PromptEvaluator:
    """Tries prompts on the dev rows of one task; answers are kept, so going back costs nothing.

    Args:
        scale: bench, metric, dev rows, calibration.
        most: rows at most; None: all dev rows.
    """

    def __init__(self, scale: PromptScorer, most: int | None = None) -> None:
        from whichway.contest.selection.race import shuffled

        self.scale = scale
        self.metric: Metric = scale.metric
        self.rows: list[Example] = shuffled(scale.practice.dev)[:most]
        self._tried: dict[Prompt, ScoredPrompt] = {}

    def of(
        self, prompt: Prompt, reference: Prompt, whole: bool = False, tell: Callable[[int, int], None] | None = None
    ) -> PromptEvaluation:
        """Try a prompt against the kept one.

        Args:
            prompt: the new one.
            reference: what it is compared with.
            whole: answer every row even when the difference is clear.
            tell: hears of rows done and rows in all.
        """
        start = time.perf_counter()
        new, old = self._get(prompt), self._get(reference)
        done, stopped = min(len(new.records), len(old.records)) if prompt == reference else 0, False
        while done < len(self.rows) and not stopped:
            done = min(done + BLOCK, len(self.rows))
            for one in (old, new):
                if len(one.records) < done:
                    one.records += self.scale.bench.score(one.candidate, self.rows[len(one.records) : done])
            if tell:
                tell(done, len(self.rows))
            stopped = not whole and prompt != reference and self._clear(new, old, done)
        return self._trial(new, old, done, time.perf_counter() - start)

    def _get(self, prompt: Prompt) -> ScoredPrompt:
        if prompt not in self._tried:
            self._tried[prompt] = ScoredPrompt(prompt, self.scale.candidate(prompt))
        return self._tried[prompt]

    def records(self, prompt: Prompt) -> Sequence[Record]:
        """The answers of a prompt that was tried, in the order of `rows`."""
        return self._get(prompt).records

    def _sequence(self, new: ScoredPrompt, old: ScoredPrompt, rows: int) -> tuple[float | None, float | None]:
        if not is_mean(self.metric):
            return None, None
        ends = paired_sequence(
            self._scores(new, rows) - self._scores(old, rows), 1 - self.scale.confidence, self._groups(rows)
        )
        return (ends[0], ends[1]) if np.isfinite(ends[0]) else (None, None)

    def _clear(self, new: ScoredPrompt, old: ScoredPrompt, rows: int) -> bool:
        low, high = self._sequence(new, old, rows)
        return low is not None and high is not None and (low > 0 or high < 0)

    def _scores(self, one: ScoredPrompt, rows: int) -> np.ndarray:
        return scores_of(one.records[:rows])

    def _groups(self, rows: int) -> tuple[str, ...] | None:
        return clusters(self.rows[:rows])

    def _trial(self, new: ScoredPrompt, old: ScoredPrompt, rows: int, seconds: float) -> PromptEvaluation:
        some = self.rows[:rows]
        answers, before = new.records[:rows], old.records[:rows]
        table, _ = paired(some, before, answers, self.metric, self.scale.confidence)
        low, high = self._sequence(new, old, rows)
        ends = table.interval(1)
        if rows < len(self.rows) and is_mean(self.metric):  # stopped by a look: the sequence's own interval
            ends = paired_sequence(self._scores(new, rows), 1 - self.scale.confidence, self._groups(rows))
            ends = max(self.metric.lowest, ends[0]), min(1.0, ends[1])
        change = self._scores(new, rows) - self._scores(old, rows)
        return PromptEvaluation(
            prompt=new.prompt,
            rows=rows,
            of=len(self.rows),
            score=table.value(1),
            low=ends[0] if ends else None,
            high=ends[1] if ends else None,
            kept_score=table.value(0),
            difference=table.value(1) - table.value(0),
            difference_low=low,
            difference_high=high,
            better=tuple(np.flatnonzero(change > 0).tolist()),
            worse=tuple(np.flatnonzero(change < 0).tolist()),
            unparsed=sum(r.outcome != "ok" for r in answers),
            seconds=seconds,
            usd_per_1000=1000 * _mean([r.usd for r in answers]),
            tokens_in=_mean([r.tokens_in for r in answers]),
            tokens_cached=_mean([r.tokens_cached for r in answers]),
            tokens_out=_mean([r.tokens_out for r in answers]),
            plain=self.metric.plain,
        )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
