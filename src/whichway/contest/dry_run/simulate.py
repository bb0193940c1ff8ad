"""What a contest will take, before it starts: the contest itself, run with simulated models.

Ways, bench, race, halving, budgets and books are the real ones, so the estimate counts what the ledger will count, also
for ways that nobody has thought of here. Only the backends are replaced: an answer is made up, a training makes
nothing, and their seconds come from a probe of the real model (`timing.py`).

Made-up answers are right on nearly the same share of rows for all candidates, so that the race drops nobody for being
worse and only halves; every way passes its gate. It is a little larger where a training ends and where each row is
shown examples of its own, as those mostly become finalists, and are dear. The contest is simulated a second time
without racing: its ceiling.
"""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from whichway.contest.dry_run.combined import about_combined
from whichway.contest.dry_run.hosted_work import WITHIN, HostedWork
from whichway.contest.dry_run.made_up import CHARACTERS_PER_TOKEN, answer_tokens, chance, made_up, own_text, right
from whichway.contest.dry_run.profile import LIMIT, Timings, own_examples, units_of
from whichway.contest.dry_run.rate_memory import TIMINGS
from whichway.contest.open_books import share_bases
from whichway.contest.plan import Components, Settings
from whichway.contest.run import run_without_verdict
from whichway.contest.selection.race import looks
from whichway.contest.timed.price_ways import price_ways, total
from whichway.contest.timed.purchases import WayCosts, costs_json
from whichway.contracts import (
    Backend,
    Embedder,
    Embedding,
    Hosted,
    Listener,
    Session,
    Sized,
    TrainsHosted,
    combines,
    follow_nothing,
)
from whichway.errors import ModelError
from whichway.events import ProbeBegan
from whichway.nouns import Adapter, Example, Reply, Request, Task, TrainJob, TrainRow, Weights, digest, split_name
from whichway.runs.folder import ESTIMATE, read_status
from whichway.runs.run import Run

FILE = ESTIMATE
PROBE_SHARE = 0.1  # of a run's minutes that the probe takes at most
UNMEASURED = 2.0  # the factor where a training was not measured but worked out from reading
RIGHT = 0.6  # share of rows that every made-up answer gets right
RISE = 0.1  # more of them at the end of a training, and with examples that are chosen for each row
TYPICAL_CHARACTERS = 4.0
TURN_CHARACTERS = 24  # what a chat template writes around a turn
HOSTED_SECONDS = 1.0  # of an answer of a hosted model, which is not probed


@dataclass(frozen=True, slots=True)
class Amount:
    """What one contestant takes, at list price; a range of time is `seconds` divided by and times `within`."""

    seconds: float  # answering and training, test rows included
    ceiling_seconds: float  # without racing
    usd: float
    memory_bytes: int | None  # of the process that needs most
    disk_bytes: int  # trained parts in the cache
    reason: str = ""  # why it will fail; "" when nothing speaks for it
    opening_seconds: float = 0.0  # by the clock: beginning trainings and loading what they made; in no ledger
    tokens_in: int = 0  # of hosted models, as far as they are not in the cache of this very run
    tokens_out: int = 0
    usd_low: float = 0.0  # of hosted models: the range of their money
    usd_high: float = 0.0
    tokens_trained: int = 0  # by a service, for a price


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a contest takes, contestant by contestant."""

    ways: Mapping[str, Amount]
    within: float = WITHIN
    seconds_per_row: Mapping[Weights, float] = field(default_factory=dict)  # bare model -> of an answer
    pieces: Mapping[str, WayCosts] = field(default_factory=dict)  # of a contest against the clock, by way
    notes: tuple[str, ...] = ()  # where the rates come from

    @property
    def seconds(self) -> float:
        """Seconds of answering and training of all ways together."""
        return sum(amount.seconds for amount in self.ways.values())

    @property
    def clock_seconds(self) -> float:
        """Seconds that a user will wait: those of the ledger, and those that no ledger holds."""
        return self.seconds + sum(amount.opening_seconds for amount in self.ways.values())


def estimate(task: Task, components: Components, settings: Settings, listener: Listener) -> Estimate:
    """Estimate what a contest takes, by running it with simulated models.

    Args:
        task: all rows; the test split is only counted.
        components: its backends are probed for seconds.
        settings: of the contest; timings are kept in its cache.
        listener: hears "probe" for each thing that is measured.
    """
    with tempfile.TemporaryDirectory(prefix="whichway-") as place:
        limit = LIMIT if settings.minutes is None else min(LIMIT, PROBE_SHARE * 60 * settings.minutes)
        share_bases(components, settings)
        timings = Timings(settings.cache / TIMINGS, Path(place) / "probed", limit)
        test = frozenset() if task.folds else frozenset(e.id for e in task.test)
        hosted = HostedWork(components)
        simulation = SimulatedRun(timings, answer_tokens(task), listener, hosted=hosted, test=test)
        simulated = replace(
            components,
            backends=SimulatedBackends(components.backends, simulation, ""),
            backends_of=lambda way: SimulatedBackends(components.backends, simulation, way),
        )
        if settings.minutes is not None and not components.prices:
            return _pieces(task, simulated, settings, simulation, Path(place))
        took: list[dict[str, float]] = []
        spent: list[dict[str, float]] = []
        for race in _races(task, settings):
            folder = Path(place) / ("raced" if race else "whole")
            simulation.race, simulation.trained = race, {}
            run_without_verdict(
                task, simulated, folder, replace(settings, cache=folder / ".cache", race=race), follow_nothing
            )
            took.append(Run(folder).seconds)
            spent.append(Run(folder).usd)
            reasons = {name: _reason(folder, name) for name in settings.ways}
        ways = {}
        combined = {name: reasons.pop(name) for name in settings.ways if combines(simulated.ways[split_name(name)[0]])}
        for name in settings.ways:
            at = -1 if name in combined else 0  # its parts are all there only where racing drops nobody
            seconds, usd, most = took[at].get(name, 0.0), spent[at].get(name, 0.0), took[-1].get(name, 0.0)
            memory, disk = simulation.memory.get(name), sum(simulation.disk[name].values())
            opening = simulation.load_seconds.get((settings.race, name), 0.0)
            amount = Amount(seconds, max(seconds, most), usd, memory, disk, reasons.get(name, ""), opening)
            usage = simulation.hosted.of(name, settings.budget.usd)
            ways[name] = amount if usage is None else replace(amount, **usage)
        pieces = _pieces(task, simulated, settings, simulation, Path(place)).pieces if settings.minutes else {}
        notes = (*about_combined(combined), *timings.memory.notes())
        return Estimate(ways, _within(timings), simulation.per_row, pieces, notes)


def _pieces(task: Task, simulated: Components, settings: Settings, simulation: SimulatedRun, place: Path) -> Estimate:
    """The estimate of a contest against the clock: what each piece takes, and all of them."""
    folder = place / "pieces"
    own = replace(settings, cache=folder / ".cache")
    simulation.race, simulation.trained = settings.race, {}
    costs, reasons = price_ways(
        task, simulated, folder, own, lambda way: simulation.load_seconds.get((settings.race, way), 0.0)
    )
    ways = {}
    for name, cost in costs.items():
        random = simulated.ways[split_name(name)[0]].RANDOM
        seconds = total(cost, random, len(settings.seeds), len(task.folds))
        memory, disk = simulation.memory.get(name), sum(simulation.disk[name].values())
        usd = seconds * settings.price_per_hour / 3600
        ways[name] = Amount(seconds, seconds, usd, memory, disk, reasons.get(name, ""))
    notes = tuple(simulation.timings.memory.notes())
    return Estimate(ways, _within(simulation.timings), simulation.per_row, costs, notes)


def estimate_json(estimate: Estimate) -> dict[str, Any]:
    """What estimate.json holds; written once: what a rerun would estimate anew is not what was said before."""
    facts = {"within": estimate.within, "ways": {name: asdict(amount) for name, amount in estimate.ways.items()}}
    return facts | ({"pieces": costs_json(estimate.pieces)} if estimate.pieces else {})


def _within(timings: Timings) -> float:
    """The factor within which the estimate lies, nine times of ten."""
    return UNMEASURED if timings.worked_out else WITHIN


def _races(task: Task, settings: Settings) -> tuple[bool, ...]:
    """With racing, and again without where that makes a difference."""
    return (True, False) if settings.race and len(looks(len(task.dev))) > 1 else (settings.race,)


def _reason(folder: Path, name: str) -> str:
    status = read_status(folder, name)
    return str(status["reason"]) if status else ""


class SimulatedBackends(Mapping[str, Backend]):
    """The backends of a run, each wrapped by a simulated one."""

    def __init__(self, real: Mapping[str, Backend], simulation: SimulatedRun, way: str) -> None:
        self._real, self._stage, self._way = real, simulation, way

    def __getitem__(self, name: str) -> Backend:
        return SimulatedBackend(self._real[name], self._stage, self._way)

    def __iter__(self) -> Iterator[str]:
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)


@dataclass(slots=True)
class SimulatedRun:
    """What simulated backends share: measured times, and what each contestant needed."""

    timings: Timings
    answer_tokens: int  # that a trained model will write for nearly every row
    listener: Listener
    race: bool = True
    load_seconds: dict[tuple[bool, str], float] = field(default_factory=dict)
    loaded: str | None = None  # the trained part that would be in memory
    prompt: str = ""  # what the last rows shared
    trained: dict[str, list[float]] = field(default_factory=dict)  # training -> seconds at each checkpoint so far
    memory: dict[str, int] = field(default_factory=dict)
    disk: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    per_row: dict[Weights, float] = field(default_factory=dict)  # bare model -> seconds of an answer
    parts: dict[str, float] = field(default_factory=dict)  # simulated part -> share of its training
    hosted: HostedWork = field(default_factory=HostedWork)
    test: frozenset[str] = frozenset()  # ids of the rows of a test split
    shown: dict[tuple[bool, str, str], dict[int, float]] = field(default_factory=dict)  # messages -> seconds of a row

    def needs(self, way: str, memory: int | None) -> None:
        """Note memory that a contestant needs."""
        if memory:
            self.memory[way] = max(memory, self.memory.get(way, 0))

    def between(self, way: str, kind: str, requests: Sequence[Request], first: Example, seconds: float) -> float:
        """Seconds of a row; of a test row with examples of its own, between those of all who may be the finalist.

        Twelve examples take four times as long as four, and dev mostly decides between them. The mean of square roots
        keeps the whole way, dev rows included, within about 1.5 of either.
        """
        if not own_examples(requests):
            return seconds
        known = self.shown.setdefault((self.race, way, kind), {})
        known.setdefault(len(requests[0].messages), seconds)
        return (sum(map(math.sqrt, known.values())) / len(known)) ** 2 if first.id in self.test else seconds

    def opens(self, way: str, seconds: float) -> None:
        """Note seconds by the clock that no ledger will hold."""
        key = (self.race, way)
        self.load_seconds[key] = self.load_seconds.get(key, 0.0) + seconds

    def measure(self, way: str, what: str) -> None:
        """Report what is measured now."""
        self.listener(ProbeBegan(way, what))


class SimulatedBackend:
    """A backend that neither answers nor trains, and says how long it would have."""

    def __init__(self, real: Backend, simulation: SimulatedRun, way: str) -> None:
        self.real, self.simulation, self.way = real, simulation, way
        self.name, self.version = real.name, real.version

    def weights(self, base: str) -> Weights:
        """The base weights, as the real backend gives them."""
        return self.real.weights(base)

    def trains(self) -> frozenset[str]:
        """The kinds of training that the real backend can do."""
        return self.real.trains()

    def fill(self, weights: Weights, rows: Sequence[TrainRow]) -> float:
        """The share of the context that the real backend reports; 0 where it reports none."""
        return self.real.fill(weights, rows) if isinstance(self.real, Sized) else 0.0

    def open(self, weights: Weights, adapter: Path | None) -> AbstractContextManager[Session]:
        """A session that makes its answers up."""
        return nullcontext(SimulatedSession(self.real, self.simulation, self.way, weights))

    def embed(self, weights: Weights, texts: Sequence[str]) -> list[Embedding]:
        """Made-up vectors, with the seconds of real ones."""
        if not isinstance(self.real, Embedder):
            raise ModelError(f"The backend '{self.name}' makes no vectors of texts.")
        self.simulation.measure(self.way, "encoding")
        each = self.simulation.timings.embedding(self.real, weights, texts)
        return [Embedding(made_up(text), 0, len(text) * each) for text in texts]

    def files(self, weights: Weights) -> Path:
        """Refuse: nothing is shipped from a dry run."""
        raise ModelError("a simulated encoder has no files")

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        """Empty checkpoints, with the seconds and bytes of a real training, or the tokens of one at a service."""
        if isinstance(self.real, TrainsHosted):
            for mark, share in self.simulation.hosted.train((self.simulation.race, self.way), self.real, job):
                self.simulation.parts[mark.weights.adapter or ""] = share
                yield mark
            return
        self.simulation.measure(self.way, f"training ({job.kind})")
        cost = self.simulation.timings.learning(self.real, job)
        self.simulation.needs(self.way, cost.peak_bytes)
        self.simulation.opens(self.way, cost.opening)
        units, before = units_of(job), 0.0
        took = self.simulation.trained.setdefault(job.id, [])  # taken up again, it has to start again
        reached, begun = len(took), len(took)
        for k, share in enumerate(job.shares, 1):
            if k > reached:
                took.append((took[-1] if took else 0.0) + cost.seconds(units * (share - before), int(k - 1 > begun)))
                took[-1] += cost.once if k == 1 else 0.0
                took[-1] -= cost.start if k - 1 > begun else 0.0
            before = share
            name = digest(["rehearsed", job.id, k])
            self.simulation.parts[name] = share
            self.simulation.disk[self.way][name] = cost.bytes
            weights = replace(job.weights, adapter=name, kind=job.kind)
            epoch = float(job.options.get("epochs", 1.0)) * share
            step = max(1, round(units * share))
            yield Adapter(weights, step, epoch, 1.0 / k, took[k - 1], 0, cost.bytes, cost.peak_bytes)


@dataclass(frozen=True, slots=True)
class SimulatedSession:
    """Made-up answers with measured seconds."""

    real: Backend
    simulation: SimulatedRun
    way: str
    weights: Weights

    def answer_rows(self, requests: Sequence[Request], rows: Sequence[Example]) -> list[Reply]:
        """The wanted answer on the same rows for everybody; else the first other label, or nothing."""
        seconds, share = self._seconds(requests, rows[0]), self._share(requests)
        if requests[0].labels:
            return [self._chosen(r, row, seconds, share) for r, row in zip(requests, rows, strict=True)]
        texts = [row.target if right(own_text(row), share) else "?" for row in rows]
        return [Reply(t, *self._tokens(r, t), seconds=seconds) for r, t in zip(requests, texts, strict=True)]

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """Nothing asks a dry run without saying of which row."""
        raise NotImplementedError

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """As `choose`."""
        raise NotImplementedError

    def _chosen(self, request: Request, row: Example, seconds: float, share: float) -> Reply:
        wanted, labels = row.target, request.labels
        others = [label for label in labels if label != wanted]
        answer = wanted if wanted in labels and (right(own_text(row), share) or not others) else others[0]
        sure = chance(own_text(row))
        level = math.log((1 - sure) / max(1, len(labels) - 1))
        scores = {label: math.log(sure) if label == answer else level for label in labels}
        return Reply(str(answer), *self._tokens(request, str(answer)), seconds=seconds, scores=scores)

    def _tokens(self, request: Request, answer: str) -> tuple[int, int, int]:
        """Tokens of a call to a hosted model: in, from a cache, out. Other models' time is measured, not counted."""
        if not isinstance(self.real, Hosted):
            return 0, 0, 0
        sent = sum(len(turn.content) + TURN_CHARACTERS for turn in request.messages)
        tokens_in, tokens_out = math.ceil(sent / TYPICAL_CHARACTERS), math.ceil(len(answer) / CHARACTERS_PER_TOKEN)
        tokens_out += 8 if request.labels else 2
        most = self.real.most_tokens(self.weights, request)
        self.simulation.hosted.ask((self.simulation.race, self.way), self.weights, (tokens_in, tokens_out), most)
        return tokens_in, 0, tokens_out

    def _share(self, requests: Sequence[Request]) -> float:
        """The share of rows that are answered rightly."""
        return RIGHT + RISE * max(
            float(own_examples(requests)), self.simulation.parts.get(self.weights.adapter or "", 0.0)
        )

    def _seconds(self, requests: Sequence[Request], first: Example) -> float:
        """Seconds of one row; a trained model is taken to stop at the end of its answer.

        A hosted model is not asked before the user has agreed to what that costs.
        """
        if isinstance(self.real, Hosted):
            return HOSTED_SECONDS
        if self.weights.adapter is not None and not requests[0].labels:
            most = min(requests[0].decoding.max_tokens, self.simulation.answer_tokens)
            requests = [replace(r, decoding=replace(r.decoding, max_tokens=most)) for r in requests]
        self.simulation.measure(self.way, f"answering ({self.weights.kind if self.weights.adapter else 'base'})")
        answering = self.simulation.timings.answering(self.real, self.weights, requests)
        self.simulation.needs(self.way, answering.memory_bytes)
        if self.weights.adapter is None:
            self.simulation.per_row.setdefault(self.weights, answering.seconds)
        if self.weights.adapter != self.simulation.loaded:
            self.simulation.loaded = self.weights.adapter
            self.simulation.opens(self.way, answering.opening)
        seconds = self.simulation.between(self.way, self.weights.kind, requests, first, answering.seconds)
        return seconds + self._prefix(requests[0], first) * answering.prefix / len(requests)

    def _prefix(self, request: Request, row: Example) -> bool:
        """Whether these rows share another prompt than the last ones did."""
        *head, last = request.messages
        text = own_text(row)
        around = last.content.replace(text, "") if text in last.content else ""  # else its fields stand in the prompt
        key = digest([self.weights.key, head, around])
        new, self.simulation.prompt = key != self.simulation.prompt, key
        return new
