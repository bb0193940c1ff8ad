"""What suggested edits change on dev, measured with the contest's bench and ruler, paired on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from whichway.lint import Finding, FormatScores
from whichway.lint.robustness import formats_of
from whichway.nouns import LATE, Candidate, Decoding, Prompt, Record, TrainDevView
from whichway.prompts.calibrate import CALIBRATION_ROWS, batch_calibrated
from whichway.prompts.plain import base_prompt
from whichway.scoring import paired, total

if TYPE_CHECKING:
    from whichway.contest.bench import RunBench
    from whichway.contracts import Metric


@dataclass(frozen=True, slots=True)
class Effect:
    """What an edit changes on dev: after minus before, in units of the metric."""

    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    wins: int
    losses: int
    rows: int
    plain: bool = field(default=False, metadata=LATE)  # scores are plain numbers, not read in percent

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, slots=True)
class PromptScorer:
    """Scores prompts on dev, always in the same way.

    Attributes:
        bench: the contest's.
        metric: the task's.
        practice: train for calibration, dev for scores.
        calibrate: take out the labels' own popularity, for each prompt anew (closed labels only).
        confidence: of intervals.
    """

    bench: RunBench
    metric: Metric
    practice: TrainDevView
    calibrate: bool = True
    confidence: float = 0.95

    def candidate(self, prompt: Prompt) -> Candidate:
        """A prompt as a candidate, with the empty slots filled that a run would fill."""
        filled = base_prompt(replace(self.practice, prompts=(prompt,)))
        plain = Candidate(filled, self.bench.base, Decoding(self.practice.mode), note="as written")
        if not (self.calibrate and self.practice.labels):
            return plain
        return batch_calibrated(plain, self.bench, self.practice.train[:CALIBRATION_ROWS])

    def records(self, prompt: Prompt) -> list[Record]:
        """The answers to all dev rows."""
        return self.bench.score(self.candidate(prompt), self.practice.dev)

    def effect(self, before: Prompt, after: Prompt) -> Effect:
        """The paired difference between two prompts."""
        rows = self.practice.dev
        table, comparison = paired(rows, self.records(before), self.records(after), self.metric, self.confidence)
        return Effect(
            table.value(0),
            table.value(1),
            comparison.value,
            comparison.low,
            comparison.high,
            comparison.wins,
            comparison.losses,
            len(rows),
            self.metric.plain,
        )

    def formats(self, prompt: Prompt) -> FormatScores:
        """The prompt in formats that mean the same."""
        rows = self.practice.dev
        scores = {name: total(self.metric, rows, self.records(one)) for name, one in formats_of(prompt).items()}
        return FormatScores(scores, len(rows))


def effects(scale: PromptScorer, prompt: Prompt, findings: Sequence[Finding]) -> dict[str, Effect]:
    """Fingerprint of a finding -> the effect of its edit, where it has one that changes the prompt."""
    by_fingerprint: dict[str, Effect] = {}
    known: dict[Prompt, Effect] = {}
    for finding in findings:
        after = finding.edit.apply(prompt) if finding.edit else prompt
        if after != prompt:
            if after not in known:
                known[after] = scale.effect(prompt, after)
            by_fingerprint[finding.fingerprint] = known[after]
    return by_fingerprint
