"""int8 products of frozen weights beside exact ones, on SmolLM2-135M-Instruct: speed, labels, and what tuning reaches.

    python benchmarks/int8.py speed                    # this processor; --avx2: with its wider units switched off
    python benchmarks/int8.py scores --evals EVALS     # trainings both ways; goes on where it was stopped
    python benchmarks/int8.py write                    # the table, from what is measured

EVALS: a folder of JSON lines with `input` and `target`. A cell of `scores` is one training on 200 rows and its answers,
by exact products, to 250 dev rows; none is a test row of `real_model.py`. Both trainings of a cell have the
same rows, order and rate. Speed is in seconds of the processor, in turns, so that other work counts little.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "pretraining")]

from real_model import FREE, split  # noqa: E402  (the same rows as the other pages)
from table_writer import write_table  # noqa: E402

from sets import ASKS  # noqa: E402
from whichway import models  # noqa: E402
from whichway.backends.local import LocalBackend  # noqa: E402
from whichway.contest.dry_run.machine_load import processor  # noqa: E402
from whichway.engine.infer.session import InferenceSession  # noqa: E402
from whichway.engine.model import decoder, int8, load  # noqa: E402
from whichway.engine.train import trainer  # noqa: E402
from whichway.engine.train.int8_training import Int8Products  # noqa: E402
from whichway.nouns import Decoding, Example, MetricSpec, Reply, Request, Task, TrainJob, TrainRow  # noqa: E402
from whichway.prompts.plain import base_prompt  # noqa: E402
from whichway.prompts.template import messages  # noqa: E402
from whichway.tasks import metrics  # noqa: E402
from whichway.training_kinds import EXACT, INT8, KINDS, options  # noqa: E402

MODEL = "smollm2"
RESULTS = HERE / "results"
CELLS, PAGE = RESULTS / "int8.jsonl", RESULTS / "int8.md"
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
SETS = ("trec6", "medical_titles", "nlupp_need", "nlupp_topic", "nlupp_domain", "restaurant_slots")
DEV = 250  # rows
KEYS = ("model", "set", "kind", "draw", "precision")
STEPS = 3  # pairs of training steps
ROWS = 24  # answered in a turn
PROBE_ROWS = 64  # by which the threshold of `answered_again` is set


def task_of(path: Path, rows: int, draw: int) -> Task:
    """A task: `rows` to train on, and 250 others as dev rows."""
    lines = split(path, rows + DEV, draw)["train"]
    examples = tuple(Example({"input": line["input"]}, line["target"]) for line in lines)
    labels = () if path.stem in FREE else tuple(sorted({e.target for e in examples}))
    metric = MetricSpec("accuracy", {"labels": list(labels)}) if labels else MetricSpec("json_fields")
    return Task(path.stem, ASKS[path.stem], examples[:rows], examples[rows:], (), metric, labels)


def made_up(labels: int) -> Task:
    """Rows and labels of common words, where only the work counts."""
    pick = random.Random(0)
    words = ("card", "account", "transfer", "payment", "limit", "rate", "pin", "cash", "fee", "loan", "refund")
    names: dict[str, None] = {}
    while len(names) < labels:
        names[" ".join(pick.choices(words, k=2))] = None
    texts = (" ".join(pick.choices(words, k=pick.randint(8, 24))) for _ in range(200))
    rows = tuple(Example({"input": text}, pick.choice(list(names))) for text in texts)
    metric = MetricSpec("accuracy", {"labels": list(names)})
    return Task(f"{labels} labels", "What does the customer want?", rows, rows, (), metric, tuple(names))


def job_of(task: Task, kind: str, precision: str, model: str = MODEL) -> TrainJob:
    """The training that a way asks for by default (four epochs, at least 100 steps of 8 rows)."""
    prompt = base_prompt(task.train_dev_view())
    rows = tuple(TrainRow(messages(prompt, e.text), e.target) for e in task.train)
    numbers: dict[str, Any] = {"epochs": 4, "batch": 8, "checkpoints": 1, "factor": 1.6}
    numbers |= {"precision": INT8} if precision == INT8 else {}
    return TrainJob(kind, LocalBackend().weights(model), rows, task.labels, 0, numbers)


# Speed


def emulate_avx2() -> None:
    """Have FBGEMM take its AVX2 kernels; all else is told by the environment, before the start."""
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    library._ZN6fbgemm14fbgemmForceIsaENS_10inst_set_tE(1)


def pairs_of(exact: Callable[[], object], rounded: Callable[[], object], turns: int) -> list[tuple[float, float]]:
    """Seconds of the processor, in turns; the first turn, slower than all others, is not counted."""

    def took(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    pairs = [(took(exact), took(rounded)) for _ in range(turns + 1)]
    return pairs[1:]


def measure_speed(avx2: bool) -> dict[str, Any]:
    """Products, training steps and answers, each exact and in int8."""
    if avx2:
        emulate_avx2()
    torch.set_num_threads(1)
    model = load.load(models.find(MODEL))
    kind = next(model.module.parameters()).dtype
    facts: dict[str, Any] = {"machine": processor(), "avx2": avx2, "format": str(kind).removeprefix("torch.")}
    facts["steps"] = int8.activation_steps()
    facts["products"] = products(kind)
    facts["training"] = {name: training_pairs(model, name) for name in ("head", "lora")}
    facts["answers"] = {f"{n} labels": answer_pairs(model, made_up(n)) for n in (6, 77)}
    return facts


def products(kind: torch.dtype) -> dict[str, list[float]]:
    """GFLOP/s of products of SmolLM2's shapes, exact and in int8."""
    rates = {}
    for rows, inputs, outputs in ((64, 576, 3072), (384, 576, 960), (384, 576, 576), (384, 576, 3072), (384, 1536, 576),
                                  (8, 576, 49152)):  # fmt: skip
        x, weight = torch.randn(rows, inputs).to(kind), torch.randn(outputs, inputs).to(kind)
        packed, work = int8.Int8Weight(weight, int8.activation_steps() or 127), 2e-9 * rows * inputs * outputs
        pairs = pairs_of(functools.partial(torch.nn.functional.linear, x, weight), functools.partial(packed, x), 8)
        rates[f"{rows} x {inputs} x {outputs}"] = [work / min(pair[n] for pair in pairs) for n in (0, 1)]
    return rates


def training_pairs(model: load.Model, kind: str) -> list[tuple[float, float]]:
    """The same steps, exact and in int8, of one training."""
    job = job_of(made_up(6), kind, INT8)
    with tempfile.TemporaryDirectory() as place:
        run = trainer.TrainingRun(model, job, options(KINDS[kind].options, job.options), Path(place), None)
        run.set_up()
        base, own_decoder = decoder.known(model.module), decoder.known(run.trainable.module)
        rounded = Int8Products.of(base, own_decoder)
        assert rounded is not None

        def step(precision: bool) -> None:
            rounded.use(precision)
            run.at.step = 0  # the same rows each time
            run._step()

        return pairs_of(functools.partial(step, False), functools.partial(step, True), STEPS)


def answer_pairs(model: load.Model, task: Task) -> list[tuple[float, float]]:
    """The same rows answered with exact and with int8 products."""
    session, requests = InferenceSession(model, model.module), requests_of(task)[:ROWS]
    rounded = products_of(session)

    def answer(precision: bool) -> None:
        rounded.use(precision)
        session.choose(requests)

    try:
        return pairs_of(functools.partial(answer, False), functools.partial(answer, True), 2)
    finally:
        rounded.use(False)


def products_of(session: InferenceSession) -> Int8Products:
    """The roundings of the weights that a session answers with."""
    own_decoder = decoder.known(session.module)
    rounded = Int8Products.of(decoder.known(session.model.module), own_decoder)
    assert rounded is not None
    return rounded


def requests_of(task: Task) -> list[Request]:
    """The dev rows as the plain prompt asks about them."""
    prompt = base_prompt(task.train_dev_view())
    decoding = Decoding("choose" if task.labels else "generate", 128)
    return [Request(messages(prompt, e.text), decoding, task.labels) for e in task.dev]


# Scores


def measure_scores(evals: Path, model: str, sets: Iterable[str], kinds: Iterable[str], draws: Iterable[int]) -> None:
    """Train every set exactly and in int8, and answer its dev rows; one line of the file a cell."""
    torch.set_num_threads(1)
    there = {tuple(cell[key] for key in KEYS) for cell in cells("score")}
    for draw in draws:
        for kind in kinds:
            for name in sets:
                if kind == "head" and name in FREE:  # written answers have none
                    continue
                task = task_of(evals / f"{name}.jsonl", 200, draw)
                for precision in (EXACT, INT8):
                    if (model, name, kind, draw, precision) not in there:
                        keep(scored(model, task, kind, draw, precision))


def scored(model: str, task: Task, kind: str, draw: int, precision: str) -> dict[str, Any]:
    """One training and its answers."""
    backend, job, judge = LocalBackend(), job_of(task, kind, precision, model), metrics.load(task.metric)
    with tempfile.TemporaryDirectory() as place:
        adapter = list(backend.train(job, Path(place), None))[-1]
        with backend.open(adapter.weights, Path(place) / str(adapter.weights.adapter)) as session:
            requests = requests_of(task)
            replies = session.choose(requests) if task.labels else session.generate(requests)
            cell = {
                **dict(zip(KEYS, (model, task.name, kind, draw, precision), strict=True)),
                "what": "score",
                "used": adapter.precision,
                "loss": adapter.loss,
                "points": [judge(e, r.text).value or 0.0 for e, r in zip(task.dev, replies, strict=True)],
            }
            if task.labels and precision == EXACT and isinstance(session, InferenceSession):
                cell["labels"] = label_agreement(session, requests, replies)
                base = InferenceSession(session.model, session.model.module)
                cell["zero_shot"] = label_agreement(base, requests, base.choose(requests))
    return cell


def label_agreement(session: InferenceSession, requests: Sequence[Request], exact: Sequence[Reply]) -> dict[str, float]:
    """How int8 products answer rows that exact ones have answered."""
    rounded = products_of(session)
    rounded.use()
    try:
        replies = session.choose(requests)
    finally:
        rounded.use(False)
    return {"same": statistics.mean(a.text == b.text for a, b in zip(exact, replies, strict=True)),
            **answered_again(exact, replies)}  # fmt: skip


def answered_again(exact: Sequence[Reply], rounded: Sequence[Reply]) -> dict[str, float]:
    """What answering rows with a small margin again, exactly, would take and give.

    The margin is small below twice the largest change of a margin among the first rows, which are answered both ways.
    """
    margins = [(_margin(a), _margin(b)) for a, b in zip(exact, rounded, strict=True)]
    least = 2 * max(abs(a - b) for a, b in margins[:PROBE_ROWS])
    rest = range(PROBE_ROWS, len(exact))
    again = {n for n in rest if margins[n][1] < least}
    wrong = sum(exact[n].text != rounded[n].text for n in rest if n not in again)
    return {"again": len(again) / len(rest), "same_after": 1 - wrong / len(rest), "least": least}


def _margin(reply: Reply) -> float:
    first, second = sorted(reply.scores.values(), reverse=True)[:2]
    return first - second


def cells(what: str) -> list[dict[str, Any]]:
    """What was measured so far."""
    lines = CELLS.read_text(encoding="utf-8").splitlines() if CELLS.exists() else []
    return [cell for cell in map(json.loads, lines) if cell["what"] == what]


def keep(cell: dict[str, Any]) -> None:
    """Add a line to the file."""
    with CELLS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(cell) + "\n")
    print({key: value for key, value in cell.items() if key != "points"}, flush=True)


# The page

HEAD = """# int8 products of frozen weights

`python benchmarks/int8.py`, one thread, beside other work; seconds of the processor, in turns. "AVX2" is the same
machine with its wider units switched off: PyTorch, oneDNN and MKL by their variables, FBGEMM by its own switch.
Activations have eight bits where the processor has VNNI and seven where not.

- **Trainings**, wanted 1.3 times: held with all units, about held with AVX2 alone. Products are two thirds of an exact
  step; what is left afterwards (adapters, attention, norms, the head) is exact.
- **Answers**, wanted 1.6 times, and 2 times with 77 labels: **missed**, and so is the same label on 99.5 % of rows.
  Rows with a small margin can be answered again exactly: then all labels are the same, and most of the gain is gone.
  Not offered.
- **Scores**: trainings that differ in rounding end a few points apart in either direction, as those of other seeds do;
  what counts is the mean over cells.
"""


def page() -> Iterable[str]:
    """The committed page."""
    yield HEAD
    for facts in {cell["avx2"]: cell for cell in cells("speed")}.values():  # the newest of each
        units = "AVX2" if facts["avx2"] else "all units"
        yield f"## Speed: {facts['machine']}, {units}; frozen weights in {facts['format']}\n"
        yield "| what | exact | int8 | ratio | of pairs |\n|---|---|---|---|---|"
        for name, (exact, rounded) in facts["products"].items():
            yield f"| product {name}, GFLOP/s | {exact:.0f} | {rounded:.0f} | {rounded / exact:.2f} | |"
        for what in ("training", "answers"):
            for name, pairs in facts[what].items():
                yield _pairs_line(f"{name}, a step of 8 rows" if what == "training" else f"{name}, {ROWS} rows", pairs)
        yield ""
    yield from _score_lines()
    yield from _label_lines()


def _pairs_line(name: str, pairs: list[list[float]]) -> str:
    ratios = sorted(a / b for a, b in pairs)
    exact, rounded = (statistics.median(pair[n] for pair in pairs) for n in (0, 1))
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    return f"| {name}, s | {exact:.2f} | {rounded:.2f} | **{statistics.median(ratios):.2f}** | {spread} |"


def _score_lines() -> Iterable[str]:
    both = {tuple(cell[key] for key in KEYS): cell for cell in cells("score")}
    yield "## Tuned on 200 rows, 250 dev rows answered exactly: score in percent\n"
    yield "| model | set | kind | draw | exact | int8 | difference | used | loss exact | int8 |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    gaps: dict[str, list[float]] = {}
    for key, exact in both.items():
        rounded = both.get((*key[:-1], INT8))
        if key[-1] == INT8 or rounded is None:
            continue
        gap = [100 * (b - a) for a, b in zip(exact["points"], rounded["points"], strict=True)]
        gaps.setdefault(key[0], []).append(statistics.mean(gap))
        error = statistics.stdev(gap) / math.sqrt(len(gap))
        means = (100 * statistics.mean(cell["points"]) for cell in (exact, rounded))
        yield (
            f"| {' | '.join(map(str, key[:-1]))} | {' | '.join(f'{mean:.1f}' for mean in means)} | "
            f"{statistics.mean(gap):+.1f} ± {error:.1f} | {rounded['used']} | {exact['loss']:.3f} | "
            f"{rounded['loss']:.3f} |"
        )
    yield ""
    for model, of in gaps.items():
        error = f" ± {statistics.stdev(of) / math.sqrt(len(of)):.2f}" if len(of) > 1 else ""
        yield f"Mean difference on {model}, {len(of)} cells: {statistics.mean(of):+.2f}{error} points.\n"


def _label_lines() -> Iterable[str]:
    yield "## Answers with int8 products: the same label as exact ones, percent of rows\n"
    yield "| model | set | weights | same label | rows with a small margin | same, those answered again exactly |"
    yield "|---|---|---|---|---|---|"
    for cell in cells("score"):
        for name, of in (("zero-shot", cell.get("zero_shot")), (cell["kind"], cell.get("labels"))):
            if of and (name != "zero-shot" or cell["kind"] == "head"):
                numbers = " | ".join(f"{100 * of[part]:.1f}" for part in ("same", "again", "same_after"))
                yield f"| {cell['model']} | {cell['set']}, draw {cell['draw']} | {name} | {numbers} |"


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "scores", "write"))
    parser.add_argument("--evals", type=Path)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--kinds", default="head,lora")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--avx2", action="store_true")
    args = parser.parse_args()
    if args.what == "speed":
        if args.avx2 and any(os.environ.get(name) != value for name, value in AVX2.items()):
            os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **AVX2})
        keep({"what": "speed", **measure_speed(args.avx2)})
    elif args.what == "scores":
        if args.evals is None:
            parser.error("scores needs --evals")
        measure_scores(args.evals, args.model, args.sets.split(","), args.kinds.split(","), range(1, args.draws + 1))
    write_table(page(), PAGE)


if __name__ == "__main__":
    main()
