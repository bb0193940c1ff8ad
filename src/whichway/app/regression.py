"""A gate for continuous integration: the current prompt against a stored run's winner, on the same rows, paired."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.errors import UserError
from whichway.nouns import Candidate, Decoding, Example, Record
from whichway.plurals import plural
from whichway.prompts.calibrate import CALIBRATION_ROWS, batch_calibrated
from whichway.prompts.plain import base_prompt
from whichway.scoring import paired
from whichway.verdict.explain.number_format import score_format

if TYPE_CHECKING:
    from whichway.contest.bench import RunBench
    from whichway.nouns import Task
    from whichway.ship import ShipSource
    from whichway.tasks import Spec
    from whichway.verdict.compare import Comparison

WORSE = 100  # the exit code, as promptfoo has it
GATES = "gates.jsonl"  # in the baseline's run folder: a line for each crossing of its test split
FEWEST = 10  # shared rows; fewer can show nothing


@dataclass(frozen=True, slots=True)
class RegressionCheck:
    """How the current prompt compares with the winner of a stored run."""

    rows: int
    before: float
    now: float
    comparison: Comparison
    way: str
    crossings: int = 1  # gates of the baseline run so far, this one with them
    run: str = ""
    plain: bool = False  # scores of the metric are plain numbers, not read in percent
    # of all that the comparison depends on: a comparison with other digests is another one
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def worse(self) -> bool:
        """Whether the current prompt is shown worse: the whole interval lies below 0."""
        return self.comparison.high is not None and self.comparison.high < 0

    @property
    def code(self) -> int:
        """100 when it is shown worse, else 0."""
        return WORSE if self.worse else 0

    @property
    def line(self) -> str:
        """What the log shows: the comparison, and how often the baseline's test split was used so."""
        low, high, form = self.comparison.low, self.comparison.high, score_format(self.plain)
        ends = "" if low is None or high is None else f" ({form.signed(low)} to {form.signed(high)})"
        word = "worse" if self.worse else "better" if low is not None and low > 0 else "not shown worse"
        return (
            f"gate: {word}: {form.bare(self.now)} against {form.bare(self.before)} of {self.way}, "
            f"{form.signed(self.comparison.value)}{form.unit}{ends} on {self.rows} test rows; "
            f"{plural(self.comparison.wins, 'row')} better, {self.comparison.losses} worse\n"
            f"the test split of {self.run} has been crossed {self.crossings} time{'s' * (self.crossings > 1)} by gates"
        )


def check_regression(
    spec: Spec, baseline: Path, cache: Path | None = None, confidence: float = 0.95
) -> RegressionCheck:
    """Score the task's prompt on the test rows that the baseline run's winner answered, and compare.

    The current candidate is the task's model with its prompt (`prompt:` or --prompt, else the plain one), read off as
    the winner was: the same decoding, calibrated anew where the winner was calibrated.

    Each crossing of the test split is counted in the run's `gates.jsonl`: prompts that are chosen by a gate are chosen
    by the test rows, and the more often, the less such a row tells.

    Raises:
        UserError: no finished run, too few shared rows, or other metrics.
    """
    from whichway.app.scratch_task import components_of
    from whichway.contest.scratch_bench import scratch_bench
    from whichway.nouns import to_json
    from whichway.ship import pick

    task, components, settings = components_of(spec, cache or baseline.parent / ".cache")
    source = pick(baseline)
    if source.plan["metric"] != to_json(task.metric):
        names = source.plan["metric"]["name"], task.metric.name
        raise UserError(f"{baseline} was judged by {names[0]}, the task by {names[1]}: nothing can be compared.")
    standing = next((s for s in source.verdict.standings if s.way == source.candidate.way), None)
    folds = standing.candidates if standing is not None and standing.folds > 1 else ()  # each answered its fold
    rows, before = shared(task, baseline, {source.candidate.id, *folds})
    with scratch_bench(task, components, settings, "gate") as bench:
        candidate = current(task, bench, source.candidate.decoding)
        now = bench.cross(candidate, rows)[0]
    table, comparison = paired(rows, before, now, components.metric, confidence)
    way = f"{source.candidate.way} in {baseline}"
    run, plain = str(baseline), table.plain
    result = RegressionCheck(len(rows), table.value(0), table.value(1), comparison, way, run=run, plain=plain)
    facts = digests(candidate, rows, source)
    return replace(result, crossings=_count(baseline, candidate, result, facts), digests=facts)


def digests(candidate: Candidate, rows: Sequence[Example], source: ShipSource) -> dict[str, str]:
    """What a comparison is bound to: configuration, data and baseline."""
    from whichway import __version__
    from whichway.nouns import digest

    return {
        "prompt, model and decoding of this commit": candidate.id,
        "model revision": candidate.weights.revision,
        "test rows": digest([example.id for example in rows]),
        "winner of the baseline": source.candidate.id,
        "plan of the baseline (sha256)": source.plan_sha256,
        "whichway": __version__,
    }


def _count(baseline: Path, candidate: Candidate, result: RegressionCheck, facts: Mapping[str, str]) -> int:
    """Note a crossing of a run's test split in its folder; gives how many there were."""
    from whichway.runs.folder import Lines

    lines = Lines(baseline / GATES)
    line = {"candidate": candidate.id, "rows": result.rows, "before": result.before, "now": result.now}
    lines.append([{**line, "worse": result.worse, "digests": dict(facts)}])
    count = sum(1 for _ in lines.read())
    lines.close()
    return count


def current(task: Task, bench: RunBench, like: Decoding) -> Candidate:
    """The task's prompt on its model, read off like another candidate."""
    practice = task.train_dev_view()
    decoding = replace(like, mode=practice.mode, bias=())
    candidate = Candidate(base_prompt(practice), bench.base, decoding, way="gate", note="current")
    if like.bias and practice.labels:
        return batch_calibrated(candidate, bench, practice.train[:CALIBRATION_ROWS])
    return candidate


def shared(task: Task, run: Path, candidates: Collection[str]) -> tuple[list[Example], list[Record]]:
    """The task's test rows that candidates of a run have answered on test, with the answers.

    Raises:
        UserError: too few.
    """
    from whichway.runs.folder import read_records

    answered = {
        r.example: r for r in read_records(run) if r.candidate in candidates and r.split == "test" and r.repeat == 0
    }
    rows = [example for example in task.test if example.id in answered]
    if len(rows) < FEWEST:
        raise UserError(
            f"{run}: only {len(rows)} of the task's {len(task.test)} test rows were answered there; "
            f"at least {FEWEST} are needed. Make a new baseline: whichway run"
        )
    return rows, [answered[example.id] for example in rows]
