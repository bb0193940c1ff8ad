"""What a cascade of two ways saves: `both_cascade` on the runs that `real_model.py` left, five sets with labels.

The way's own code chooses pair, calibration and threshold from the dev answers of finished runs. What comes out is
scored on their test rows, which play no part in choosing. Runs hold answers and prices but not how likely each label
was, so a way that may answer first is asked once more: on dev and test rows, and on rows of the set that the run never
saw, as 250 test rows are few for a calibration error. Those answers, and those of baselines that are trained anew on
parts of the training rows, stay in `--work`; goes on where it was stopped.

    python benchmarks/cascade.py --runs RUNS --evals EVALS --work FOLDER [--ask 250]

RUNS: the run folders of `real_model.py`. EVALS: a folder of JSON lines with `input` and `target`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from table_writer import write_table

from whichway.app.configure import backends
from whichway.app.predict import answers
from whichway.contracts import OtherWay
from whichway.errors import WayFailed
from whichway.nouns import (
    Candidate,
    Example,
    MetricSpec,
    Prompt,
    Record,
    Reply,
    TrainDevView,
    TrainJob,
    TrainRow,
    digest,
)
from whichway.prompts.ask import questions
from whichway.prompts.deferral import confidence, in_stages
from whichway.prompts.template import messages
from whichway.runs.run import Run, read
from whichway.ship import pick
from whichway.ways import both_cascade
from whichway.ways._confidence import calibration_error

HERE = Path(__file__).parent
sys.path.append(str(HERE))

from real_model import split  # noqa: E402

OUT = HERE / "results" / "cascade.md"
SETS = ("medical_titles", "nlupp_domain", "nlupp_need", "nlupp_topic", "trec6")
FIRST = ("base_tfidf", "base_encoder", "tune_encoder")  # ways that may answer first: a row takes milliseconds
PAIRS: tuple[tuple[str, str, str], ...] = (
    ("default", "", ""),
    ("encoder, then LoRA on examples", "base_encoder", "both_shots_lora"),
    ("encoder, then head", "base_encoder", "tune_head"),
    ("tuned encoder, then LoRA on examples", "tune_encoder", "both_shots_lora"),
    ("words, then tuned encoder", "base_tfidf", "tune_encoder"),
)
Scores = dict[str, dict[str, float]]  # row's text -> label -> log-probability


def cells(runs: Path) -> Iterator[tuple[str, int, int]]:
    """Set, rows and draw of the runs that are there."""
    names = {tuple(path.name.split("-")[:3]) for path in runs.iterdir() if path.name.count("-") == 3}
    for name, rows, draw in sorted(names, key=lambda name: (name[2], name[0])):
        if name in SETS:
            yield name, int(rows), int(draw)


def finished(runs: Path, name: str, rows: int, draw: int) -> dict[str, Run]:
    """Way -> its finished run that ended at a candidate."""
    by_way = {}
    for path in sorted(runs.glob(f"{name}-{rows}-{draw}-*")):
        if (path / "verdict.json").exists():
            run = read(path)
            if run.verdict.standings[0].status == "ok":
                by_way[path.name.split("-")[3]] = run
    return by_way


def answered(run: Run, rows: Sequence[Example]) -> bool:
    """Whether a run's finalist answered all of some rows; the race may have stopped it."""
    finalist = run.finalists(run.verdict.standings[0].way)[0].id
    return {row.id for row in rows} <= {r.example for r in run.all_records if r.candidate == finalist}


def asked(run: Run, way: str, place: Path, evals: Path, cell: tuple[str, int, int], extra: int) -> dict[str, Any]:
    """How likely each label was, row by row: of the run's rows, and of so many that it never saw; made once."""
    path = place / f"{'-'.join(map(str, cell))}-{way}.json"
    if not path.exists():
        name, rows, draw = cell
        data = split(evals / f"{name}.jsonl", rows, draw)
        seen = {row["input"] for part in data.values() for row in part}
        distinct = {}
        for line in (evals / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            distinct.setdefault(row["input"], row["target"])
        more = [(text, target) for text, target in distinct.items() if text not in seen]
        more = more[:extra]
        source = pick(run, way=way)
        texts = [row.text for row in run.rows] + [text for text, _ in more]
        lines = list(answers(source, [Example({source.fields[0]: text}, "") for text in texts]))
        known = {text: line.get("scores", {}) for text, line in zip(texts, lines, strict=True)}
        path.write_text(json.dumps({"scores": known, "more": more}), encoding="utf-8")
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


class Refits:
    """Baselines trained anew on parts of the training rows of a cell, and their answers, kept on disk.

    Args:
        path: of the file that keeps the answers.
        labels: of the task.
    """

    def __init__(self, path: Path, labels: tuple[str, ...]) -> None:
        self._path, self._labels = path, labels
        self._known: dict[str, Scores] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self._rows: dict[str, tuple[Candidate, Sequence[Example]]] = {}

    def made(self, candidate: Candidate, examples: Sequence[Example]) -> Candidate:
        """The candidate of these rows; it is trained when it is asked what is not known."""
        key = digest(["refit", candidate.weights.key, sorted(example.id for example in examples)])
        self._rows[key] = candidate, examples
        return replace(candidate, weights=replace(candidate.weights, adapter=key))

    def scores(self, candidate: Candidate, examples: Sequence[Example]) -> Scores:
        """How likely each label of these rows is by a refit."""
        key = str(candidate.weights.adapter)
        if not {example.text for example in examples} <= self._known.get(key, {}).keys():
            first, rows = self._rows[key]
            start = replace(first.weights, adapter=None, kind="none")
            taught = tuple(TrainRow(messages(Prompt(), row), row.target) for row in rows)
            backend = backends()[start.backend]
            with tempfile.TemporaryDirectory() as place:
                job = TrainJob(first.weights.kind, start, taught, self._labels, 0, {})
                adapter = next(iter(backend.train(job, Path(place), None)))
                with backend.open(adapter.weights, Path(place) / str(adapter.weights.adapter)) as session:
                    replies = session.choose([questions(first, row, self._labels)[0] for row in examples])
            new = {row.text: dict(reply.scores) for row, reply in zip(examples, replies, strict=True)}
            self._known[key] = {**self._known.get(key, {}), **new}
            self._path.write_text(json.dumps(self._known), encoding="utf-8")
        return self._known[key]


class ReplayBench:
    """A bench whose answers were given before.

    Args:
        runs: way -> its run.
        scores: way -> row's text -> label -> log-probability.
        refits: of baselines.
    """

    def __init__(self, runs: Mapping[str, Run], scores: Mapping[str, Scores], refits: Refits) -> None:
        self.seeds, self._refits = (0,), refits
        self.candidates = {way: run.finalists(way)[0] for way, run in runs.items()}
        self._way = {candidate.id: way for way, candidate in self.candidates.items()}
        self._records = {
            way: {r.example: r for r in run.all_records if r.candidate == self.candidates[way].id}
            for way, run in runs.items()
        }
        self._scores = scores
        self.others: dict[str, OtherWay] = {}
        for way, run in runs.items():
            dev = [r for r in self._records[way].values() if r.split == "dev"]
            line = run.verdict.standings[0]
            usd = sum(r.usd for r in dev) / max(1, len(dev))
            self.others[way] = OtherWay((self.candidates[way],), line.kind, line.dev_score or 0.0, usd)
        self.dev: list[Record] = []

    def ask(self, candidate: Candidate, examples: Sequence[Example]) -> list[Reply]:
        """The answers of one way, with the scores of labels where they are known."""
        if candidate.id not in self._way:
            known = self._refits.scores(candidate, examples)
            return [Reply(_likeliest(known[e.text]), scores=known[e.text]) for e in examples]
        way = self._way[candidate.id]
        replies = []
        for example in examples:
            record = self._records[way][example.id]
            scores = self._scores.get(way, {}).get(example.text, {})
            replies.append(Reply(record.text, record.tokens_in, record.tokens_cached, record.tokens_out,
                                 record.seconds, scores=scores))  # fmt: skip
        return replies

    def score(self, candidate: Candidate, examples: Sequence[Example]) -> list[Record]:
        """Records of a candidate: a refit, one of the ways, or a cascade."""
        if candidate.deferral is None and candidate.id not in self._way:
            any_record = next(iter(self._records["base_tfidf"].values()))
            return [
                replace(any_record, example=e.id, score=float(reply.text == e.target), text=reply.text)
                for e, reply in zip(examples, self.ask(candidate, examples), strict=True)
            ]
        if candidate.deferral is None:
            return [self._records[self._way[candidate.id]][example.id] for example in examples]
        records = []
        for example, reply in zip(examples, in_stages(candidate, examples, self.ask), strict=True):
            asked_ = [self.score(stage, [example])[0] for stage in candidate.stages[: reply.stage + 1]]
            records.append(replace(asked_[-1], usd=sum(r.usd for r in asked_), stage=reply.stage))
        return records

    def combine(self, name: str) -> None:
        """Nothing is charged."""

    def remade(self, candidate: Candidate, examples: Sequence[Example]) -> Candidate:
        """A baseline made of other rows."""
        return self._refits.made(candidate, examples)

    def fitted_on_dev(self, candidate: Candidate, records: Sequence[Record]) -> None:
        """Keep the cross-validated dev records."""
        self.dev = list(records)

    def say(self, message: str) -> None:
        """Nobody listens."""


@dataclass(frozen=True)
class Line:
    """A cascade on a set."""

    name: str
    draw: int
    cheap: str
    dear: str
    cheap_score: float
    dear_score: float
    dev: float  # cross-validated
    score: float
    low: float  # of the difference to the dear way
    high: float
    deferred: float
    price: float  # of the dear way's
    error: float  # calibration error of the cheap way on test and unseen rows
    chance: float  # what it would be by chance with a perfect calibration
    rows: int

    @property
    def equal(self) -> bool:
        """Whether its score is within a point of the dear way's, or better."""
        return self.score - self.dear_score >= -0.01 - 1e-9

    @property
    def holds(self) -> bool:
        """Whether it is within the margin at half the price or less."""
        return self.equal and self.price <= 0.5


def line_of(
    name: str, draw: int, bench: ReplayBench, task: TrainDevView, test: Sequence[Example],
    names: tuple[str, str], more: Mapping[str, Sequence[tuple[str, str]]],
) -> Line | str:  # fmt: skip
    """The cascade of a pair ("" for the default), or why there is none."""
    options = both_cascade.Options((names[0],) if names[0] else (), (names[1],) if names[1] else ())
    try:
        cascade = next(iter(both_cascade.adapt(task, bench, options)))  # type: ignore[arg-type]  # as much as is used
    except WayFailed as reason:
        return str(reason)
    first, second = (bench._way[stage.id] for stage in cascade.stages)
    own, cheap, dear = (bench.score(c, test) for c in (cascade, cascade.stages[0], cascade.stages[1]))
    difference = np.array([a.points - b.points for a, b in zip(own, dear, strict=True)])
    half = 1.96 * difference.std(ddof=1) / math.sqrt(len(difference))
    assert cascade.deferral is not None
    sure = [confidence(reply, cascade.deferral) for reply in bench.ask(cascade.stages[0], test)]
    right = [record.points for record in cheap]
    for text, target in more.get(first, ()):
        scores = bench._scores[first][text]
        sure.append(confidence(Reply("", scores=scores), cascade.deferral))
        right.append(float(_likeliest(scores) == target))
    mean = float(np.mean(right))
    return Line(
        name, draw, first, second, float(np.mean([r.points for r in cheap])), float(np.mean([r.points for r in dear])),
        sum(r.points for r in bench.dev) / max(1, len(bench.dev)), float(np.mean([r.points for r in own])),
        float(difference.mean() - half), float(difference.mean() + half), float(np.mean([r.stage for r in own])),
        sum(r.usd for r in own) / sum(r.usd for r in dear), calibration_error(sure, right),
        0.8 * math.sqrt(10 * mean * (1 - mean) / len(right)), len(right),
    )  # fmt: skip


def _likeliest(scores: Mapping[str, float]) -> str:
    return max(scores, key=lambda label: scores[label])


def measured(runs: Path, evals: Path, work: Path, extra: int) -> Iterator[tuple[str, str, int, Line | str]]:
    """(pair, set, draw, cascade or why there is none)."""
    for cell in cells(runs):
        by_way = finished(runs, *cell)
        facts = {w: asked(by_way[w], w, work, evals, cell, extra) for w in FIRST if w in by_way}
        any_run = next(iter(by_way.values()))
        rows = {side: [Example(r.input, r.target) for r in any_run.rows if r.split == side] for side in ("dev", "test")}
        dev = {example.text for example in rows["dev"]}
        data = split(evals / f"{cell[0]}.jsonl", cell[1], cell[2])["train"]
        train = tuple(Example({"input": r["input"]}, r["target"]) for r in data if r["input"] not in dev)
        labels, spec = tuple(any_run.plan_data["labels"]), MetricSpec("accuracy")
        refits = Refits(work / f"{'-'.join(map(str, cell))}-refits.json", labels)
        whole = {way: run for way, run in by_way.items() if answered(run, rows["dev"])}
        bench = ReplayBench(whole, {way: fact["scores"] for way, fact in facts.items()}, refits)
        task = TrainDevView("", "", train, tuple(rows["dev"]), spec, labels)
        more = {way: fact["more"] for way, fact in facts.items()}
        for title, cheap, dear in PAIRS:
            if {cheap, dear} - {""} <= whole.keys():
                yield title, cell[0], cell[2], line_of(cell[0], cell[2], bench, task, rows["test"], (cheap, dear), more)


HEAD = """# What a cascade of two ways saves

`python benchmarks/cascade.py --runs RUNS --evals EVALS --work FOLDER`: `both_cascade` with default options on finished contests of one way each
(SmolLM2-135M-Instruct, 200 labelled rows, 30 to 50 of them dev). Pair, calibration and threshold are chosen on dev; test rows (250) only score what
comes out. *Price* is that of a row as a share of the dear way's. *Difference* is cascade minus dear way, paired, in points with 95 % intervals.
*ECE* is the expected calibration error of the cheap way's confidence (ten bins of equally many rows) on test rows and on further rows that no
run saw; beside it what a perfect calibration shows by chance on so many rows. **Holds**: at most one point below the dear way, at half its
price or less. The default takes the best way on dev as the dear one, so that there is no cascade where that is a cheap way itself. The sixth
set, restaurant_slots, has written answers: their confidence is not known, and `both_cascade` says so.

"""  # noqa: E501


COLUMNS = (
    "| set | draw | first | then | first alone | then alone | dev | cascade | difference | deferred | price | ECE | |"
)


def page(results: Sequence[tuple[str, str, int, Line | str]]) -> Iterator[str]:
    """The committed page, line by line."""
    yield HEAD.rstrip("\n")
    for title in dict.fromkeys(result[0] for result in results):
        own = [result[1:] for result in results if result[0] == title]
        good = [line for _, _, line in own if isinstance(line, Line)]
        yield ""
        yield f"## {title}"
        yield ""
        yield COLUMNS
        yield "|---|" + "---|" * (COLUMNS.count("|") - 2)
        for name, draw, line in own:
            yield _row(line) if isinstance(line, Line) else f"| {name} | {draw} | none: {line} |" + " |" * 10
        sets = {line.name for line in good}
        holds = {name for name in sets if all(line.holds for line in good if line.name == name)}
        yield ""
        errors = [line.error for line in good]
        yield (
            f"Holds in {sum(line.holds for line in good)} of {len(own)} contests; on {len(holds)} of {len(sets)} sets "
            f"in every draw. ECE at most 5 points in {sum(error <= 0.05 for error in errors)} of {len(errors)}"
            + (f"; mean {100 * float(np.mean(errors)):.1f}." if errors else ".")
        )


def _row(line: Line) -> str:
    numbers = (
        f"{100 * line.cheap_score:.1f} | {100 * line.dear_score:.1f} | {100 * line.dev:.1f} | "
        f"**{100 * line.score:.1f}** | "
        f"{100 * (line.score - line.dear_score):+.1f} ({100 * line.low:+.1f} to {100 * line.high:+.1f}) | "
        f"{100 * line.deferred:.0f} % | {100 * line.price:.0f} % | "
        f"{100 * line.error:.1f} ({100 * line.chance:.1f} by chance, {line.rows} rows)"
    )
    verdict = "holds" if line.holds else "dearer" if line.equal else "worse"
    return f"| {line.name} | {line.draw} | {line.cheap} | {line.dear} | {numbers} | {verdict} |"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--evals", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--ask", type=int, default=250, help="rows that no run saw, for the calibration error")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    write_table(page(list(measured(given.runs, given.evals, given.work, given.ask))), given.out)


if __name__ == "__main__":
    main()
