"""What a teacher is worth: ten labelled rows a class and 500 unlabelled, student against the labelled rows alone.

On each set and draw, for each student, one contest: the teacher (`tune_encoder`, the whole sentence encoder, trained on
the same labelled rows) stands in it, and the student twice, by itself on the labelled rows and as `both_distill` with
rows that the teacher labelled. Another ten labelled rows a class are dev. Unlabelled rows that are nearly copies of
labelled ones, of dev or of test among them, are left out as the reader of `unlabelled:` does; what is left is looked
through once more here, pair by pair. Goes on where it was stopped.

    python benchmarks/teacher.py --evals EVALS [--model embedded --students base_encoder:2,tune_head:1] [--out PAGE]

EVALS: a folder of JSON lines with `input` and `target`.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import re
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from table_writer import write_table

from whichway.app.configure import backends, encoder_of, ways
from whichway.contest import Components, Settings, run
from whichway.nouns import Example, MetricSpec, Task, digest
from whichway.runs.folder import read_records
from whichway.tasks import metrics
from whichway.tasks.near_duplicates import grams, near_grams, skeleton
from whichway.tasks.unlabelled import new_rows

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "pretraining"))

from sets import ASKS  # noqa: E402  (what is asked about the evaluation sets is said once)

SETS = ("trec6", "nlupp_topic", "nlupp_need", "medical_titles")
A_CLASS, POOL, TEST = 10, 500, 300
RATE = (1.6,)  # one rate: both sides of each comparison are trained alike
TEACHER = "tune_encoder"
STUDENTS = ("base_encoder:2", "tune_head:1")  # each with its draws


def task_of(name: str, evals: Path, draw: int) -> tuple[Task, dict[str, int]]:
    """A draw of a set, and how many unlabelled rows were left out for which reason."""
    lines = (evals / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    distinct = {r["input"]: Example({"input": r["input"]}, r["target"]) for r in map(json.loads, lines)}
    order = sorted(distinct.values(), key=lambda e: digest([draw, e.id]))
    labels = tuple(sorted({e.target for e in order}))
    train, dev, rest = _some(order, A_CLASS), [], []
    dev = _some([e for e in order if e not in train], A_CLASS)
    rest = [e for e in order if e not in train and e not in dev]
    test = rest[: min(TEST, len(rest) // 3)]
    bare = [replace(e, target="") for e in rest[len(test) :]]
    pool, left_out = new_rows(bare[: 2 * POOL], {"test": test, "dev": dev, "train": train})
    metric = MetricSpec("accuracy", {"labels": list(labels)})
    rows = (tuple(train), tuple(dev), tuple(test))
    return Task(name, ASKS[name], *rows, metric, labels, unlabelled=tuple(pool[:POOL])), left_out


def _some(rows: Sequence[Example], each: int) -> list[Example]:
    """The first rows of each label."""
    seen: Counter[str] = Counter()
    some = []
    for row in rows:
        seen[row.target] += 1
        if seen[row.target] <= each:
            some.append(row)
    return some


def near_test(task: Task) -> int:
    """Unlabelled rows that are nearly copies of a dev or test row, by looking at every pair."""
    held_out = [grams(skeleton(e.text)) for e in (*task.dev, *task.test)]
    return sum(any(near_grams(grams(skeleton(row.text)), one) for one in held_out) for row in task.unlabelled)


def contest(task: Task, work: Path, model: str, student: str) -> dict[str, Any]:
    """Test scores, dev scores and costs of the teacher, the student alone, and the student that was taught."""
    known = backends()
    components = Components(
        known, ways(), metrics.load(task.metric), known["local"].weights(model),
        encoder_of=functools.partial(encoder_of, backends_by_name=known),
    )  # fmt: skip
    more: dict[str, Any] = {} if student == "base_encoder" else {"factors": RATE}
    taught = {"teacher": TEACHER, "student": student, **more}
    tried = {TEACHER: {"factors": RATE}, student: more, "both_distill": taught}
    settings = Settings(tried, work.parent / ".cache", seeds=(0,), forgetting=False)
    verdict = run(task, components, folder=work, settings=settings).verdict
    answers: dict[str, dict[str, float]] = defaultdict(dict)
    for record in read_records(work):
        if record.split == "test":
            answers[record.candidate][record.example] = record.points
    scores = {
        s.way: {"test": s.score, "dev": s.dev_score, "usd": s.usd_fit, "seconds": s.seconds_fit,
                "rows": [answers[s.candidates[0]][e.id] for e in task.test]}
        for s in verdict.standings if s.status == "ok"
    }  # fmt: skip
    return {"scores": scores, "log": (work / "ways" / "both_distill" / "log").read_text(encoding="utf-8")}


def measured(name: str, draw: int, student: str, args: argparse.Namespace) -> dict[str, Any]:
    """A set, draw and student, from an earlier start if it is there."""
    file = args.work / f"{name}-{draw}-{student}.json"
    if not file.exists():
        task, left_out = task_of(name, args.evals, draw)
        facts = contest(task, args.work / f"{name}-{draw}-{student}", args.model, student)
        facts |= {"labels": len(task.labels), "pool": len(task.unlabelled), "left_out": left_out}
        file.write_text(json.dumps(facts | {"near": near_test(task)}))
    return dict(json.loads(file.read_text()))


def lines(args: argparse.Namespace) -> Iterator[str]:
    """The page."""
    yield "# A teacher's labels"
    yield ""
    yield f"Ten labelled rows a class to train on, ten more for dev, up to {POOL} unlabelled rows. The teacher is"
    yield f"`{TEACHER}` on MiniLM, trained on the same labelled rows; `tune_head` is on the model `{args.model}`."
    yield "Accuracy on test rows in points; the gain is paired, row by row, with its standard error. *kept*: labels"
    yield "above the confidence that dev chose. *near*: unlabelled rows that are nearly copies of dev or test rows,"
    yield "counted pair by pair."
    yield ""
    yield "| set, draw | labels | test rows | teacher | student | alone | taught | gain | kept | near |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    gains: dict[str, list[float]] = defaultdict(list)
    removed: Counter[str] = Counter()
    for word in args.students:
        student, _, draws = word.partition(":")
        for name in args.sets:
            for draw in range(int(draws or 1)):
                facts = measured(name, draw, student, args)
                removed.update(facts["left_out"] if student == args.students[0].partition(":")[0] else {})
                yield _line(name, draw, student, facts, gains)
    yield ""
    for student, values in gains.items():
        signs = [sum(v > 0 for v in values), sum(v == 0 for v in values), sum(v < 0 for v in values)]
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else float("nan")
        yield (
            f"`{student}`: {statistics.mean(values):+.1f} points on average over {len(values)} contests (standard "
            f"error {error:.1f}); better in {signs[0]}, equal in {signs[1]}, worse in {signs[2]}."
        )
        yield ""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(removed.items())) or "none"
    yield f"Unlabelled rows left out when the sets were read: {reasons}."


def _line(name: str, draw: int, student: str, facts: Mapping[str, Any], gains: dict[str, list[float]]) -> str:
    scores = facts["scores"]
    alone, taught = scores[student], scores["both_distill"]
    differences = [100 * (b - a) for a, b in zip(alone["rows"], taught["rows"], strict=True)]
    gain, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    gains[student].append(gain)
    match = re.search(r"(\d+) of (\d+) labelled rows are kept", facts["log"])
    cells = [f"{name}, {draw + 1}", facts["labels"], len(differences), f"{100 * scores[TEACHER]['test']:.1f}", student]
    cells += [f"{100 * alone['test']:.1f}", f"{100 * taught['test']:.1f}", f"{gain:+.1f} ± {error:.1f}"]
    fell = ", not used by dev" if re.search("do not help|nothing is added", facts["log"]) else ""
    cells += [(f"{match[1]} of {match[2]}" if match else "none") + fell, facts["near"]]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Measure what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evals", type=Path, required=True)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--sets", default=",".join(SETS), type=lambda text: text.split(","))
    parser.add_argument("--students", default=",".join(STUDENTS), type=lambda text: text.split(","))
    parser.add_argument("--work", type=Path, default=Path("teacher-work"))
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    write_table(lines(args), args.out)


if __name__ == "__main__":
    main()
