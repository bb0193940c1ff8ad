"""A documented test double: deterministic, needs no model, and really reads its prompt and really learns.

Base names: ``fake`` or ``fake:option=value,...`` with the options

- ``seconds`` (0.001): list seconds of one answer, the same on every machine, so that whole runs repeat byte for byte;
- ``delay`` (0): real seconds slept per call and per checkpoint, for tests that kill a run in the middle;
- ``mute`` (0): share of free-text answers that come out empty, for tests of unparsed rows.

It answers a closed label by word counts over the shots of the prompt and the rows it was trained on (naive Bayes), and
by words that the input shares with a label's name. Free text is copied from the most similar shot or training row, or
at a temperature drawn, by the repeat's number, from the two most similar ones.

A `World` makes it a simulation instead: each row is answered right with the skill of the candidate's kind.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import NormalDist
from typing import Any

from whichway.contracts import Session
from whichway.errors import ModelError, OptionError, WayFailed, did_you_mean
from whichway.nouns import Adapter, Reply, Request, TrainJob, Weights, digest
from whichway.training_kinds import KINDS, kinds_of

OPTIONS = {"seconds": 0.001, "delay": 0.0, "mute": 0.0}
TRAINING = {"rate": 1e-3, "epochs": 1.0}  # of a job that does not say


def backend() -> FakeBackend:
    """The backend of this file."""
    return FakeBackend()


@dataclass(frozen=True, slots=True)
class World:
    """A simulated truth: right answers, and how often each kind of candidate gives them.

    Skill is the chance of a right answer by kind of candidate: "zero" (no shots), "shots", or an adapter's kind. A row
    is as hard for all candidates as `correlation` says (Gaussian copula); a seed's skill varies by `seed_sd`.
    """

    gold: Mapping[str, str]  # row text -> right answer
    skill: Mapping[str, float]
    correlation: float = 0.5
    seed_sd: float = 0.0
    number: int = 0

    def row(self, request: Request) -> str:
        """The row's text: the last message, or what follows the instructions in it."""
        content = request.messages[-1].content
        while content not in self.gold and "\n\n" in content:
            content = content.split("\n\n", 1)[1]
        return content

    def right(self, weights: Weights, request: Request) -> bool:
        """Whether the candidate gets this row right."""
        kind = weights.kind if weights.adapter else ("shots" if len(request.messages) > 2 else "zero")
        prompt = digest([m.content for m in request.messages[:-1]])
        noise_key = f"{self.number}/{weights.adapter}/{kind}/{prompt}"
        skill = self.skill[kind] + self.seed_sd * normal(f"skill/{noise_key}")
        text = self.row(request)
        shared, own = normal(f"{self.number}/{text}"), normal(f"{noise_key}/{text}")
        latent = math.sqrt(self.correlation) * shared + math.sqrt(1 - self.correlation) * own
        return latent < NormalDist().inv_cdf(min(0.999, max(0.001, skill)))


def uniform(text: str) -> float:
    """A number in (0, 1) that depends on the text alone."""
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") + 0.5) / 2**56


def normal(text: str) -> float:
    """A standard normal number that depends on the text alone."""
    return NormalDist().inv_cdf(uniform(text))


class FakeBackend:
    """The test double as a backend.

    Args:
        world: a simulated truth; None for the double that reads and learns.
    """

    name = "fake"
    version = "fake 1"

    def __init__(self, world: World | None = None) -> None:
        self.world = world

    def weights(self, base: str) -> Weights:
        """`fake` or `fake:option=value,...`."""
        _options(base)
        return Weights(self.name, base, revision=digest(base))

    def trains(self) -> frozenset[str]:
        """All kinds that a language model can, here or at a service."""
        return kinds_of("local") | kinds_of("openai")

    def open(self, weights: Weights, adapter: Path | None) -> AbstractContextManager[Session]:
        """Load what was learned."""
        learned = json.loads((adapter / "learned.json").read_text(encoding="utf-8")) if adapter else []
        rows = tuple((text, answer) for text, answer in learned)
        return nullcontext(FakeSession(weights, rows, _options(weights.base), self.world))

    def train(self, job: TrainJob, folder: Path, adapter: Path | None) -> Iterator[Adapter]:
        """Remember a growing share of the rows at each checkpoint; a rate above 1 diverges."""
        kind = KINDS[job.kind]
        known = [field.name for field in fields(kind.options)]
        for name in job.options:
            if name not in known:
                raise OptionError(f"training '{job.kind}' has no option '{name}'.{did_you_mean(name, known)}")
        options: dict[str, Any] = {**TRAINING, **job.options}
        if options["rate"] > 1:
            spent = _options(job.weights.base)["seconds"]
            raise WayFailed(f"diverged at step 1, rate {options['rate']:g}; lower the rate", spent)
        settings = _options(job.weights.base)
        taught = job.rows[::2] if kind.pairs else job.rows  # of preferences, the wanted answers
        for k, share in enumerate(job.shares, 1):
            _wait(settings["delay"])
            rows = [(r.messages[-1].content, r.answer) for r in taught[: int(len(taught) * share) or 1]]
            name = digest(["fake", job.id, k])
            size = _write(folder / name, rows)
            seconds = 10 * settings["seconds"] * len(job.rows) * float(options["epochs"]) * share
            tokens = sum(len(text.split()) for text, _ in rows)
            weights = Weights(self.name, job.weights.base, job.weights.revision, name, job.kind)
            yield Adapter(weights, k, float(options["epochs"]) * share, 1.0 / k, seconds, tokens, size)


def _wait(seconds: float) -> None:
    if seconds:  # a sleep of 0 still gives the processor away
        time.sleep(seconds)


def _write(goal: Path, rows: Sequence[tuple[str, str]]) -> int:
    text = json.dumps(rows, ensure_ascii=False)
    if not goal.exists():
        temporary = goal.with_name(goal.name + ".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        (temporary / "learned.json").write_text(text, encoding="utf-8")
        os.replace(temporary, goal)
    return len(text)


def _options(base: str) -> dict[str, float]:
    name, _, rest = base.partition(":")
    if name != "fake":
        raise ModelError(f"'{base}' is no fake model; write fake or fake:option=value")
    options = dict(OPTIONS)
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in OPTIONS:
            raise OptionError(f"the fake model has no option '{key}'.{did_you_mean(key, OPTIONS)}")
        try:
            options[key] = float(value)
        except ValueError:
            raise OptionError(f"the fake model's option '{key}' wants a number, got '{value}'") from None
    return options


@dataclass(frozen=True, slots=True)
class FakeSession:
    """Answers by counting words."""

    weights: Weights
    learned: tuple[tuple[str, str], ...]
    options: Mapping[str, float]
    world: World | None = None
    tables: dict[tuple[tuple[str, str], ...], Mapping[str, tuple[Counter[str], int]]] = field(default_factory=dict)

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """Naive Bayes over what was seen, and words shared with the label's name."""
        _wait(self.options["delay"])
        return [self._reply(r, *self._choose(r)) for r in requests]

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """The answer of the most similar row seen."""
        _wait(self.options["delay"])
        return [self._reply(r, self._write(r), {}) for r in requests]

    def _reply(self, request: Request, text: str, scores: Mapping[str, float]) -> Reply:
        words = [len(m.content.split()) for m in request.messages]
        return Reply(
            text,
            tokens_in=words[-1],
            tokens_cached=sum(words[:-1]),
            tokens_out=len(text.split()),
            seconds=self.options["seconds"],
            scores=scores,
        )

    def _choose(self, request: Request) -> tuple[str, dict[str, float]]:
        if self.world:
            row = self.world.row(request)
            gold = self.world.gold[row]
            others = [label for label in request.labels if label != gold]
            pick = int(uniform(f"wrong/{row}/{self.weights.adapter}") * len(others))
            answer = gold if self.world.right(self.weights, request) or not others else others[pick]
            return answer, {label: 0.0 if label == answer else -5.0 for label in request.labels}
        seen, text = self._tables(request), request.messages[-1].content
        words = _words(text)
        rows = sum(size for _, size in seen.values())
        scores = {label: _log_chance(label, words, seen, rows, len(request.labels)) for label in request.labels}
        if request.decoding.mode != "choose":  # of whole answers, not among the labels
            return max(request.labels, key=lambda label: scores[label]), scores
        top = max(scores.values())
        whole = top + math.log(sum(math.exp(s - top) for s in scores.values()))
        scores = {label: score - whole for label, score in scores.items()}
        bias = dict(request.decoding.bias)
        return max(request.labels, key=lambda label: scores[label] + bias.get(label, 0.0)), scores

    def _tables(self, request: Request) -> Mapping[str, tuple[Counter[str], int]]:
        """Word counts and their sum by answer, over the training rows (counted once) and the shots of a prompt."""
        shots = tuple(_shots(request))
        if shots not in self.tables:
            counts: dict[str, Counter[str]] = {}
            for text, answer in (*self.learned, *shots):
                counts.setdefault(answer, Counter()).update(_words(text))
            self.tables[shots] = {answer: (c, sum(c.values())) for answer, c in counts.items()}
        return self.tables[shots]

    def _write(self, request: Request) -> str:
        text = request.messages[-1].content
        if uniform(f"mute/{text}") < self.options["mute"]:
            return ""
        seen = [*self.learned, *_shots(request)]
        if not seen:
            first_words, temperature = (
                text.split()[:8],
                request.decoding.temperature if request.decoding.samples else 0.0,
            )
            place = f"{text}/{temperature}/{request.repeat}"  # the hotter, the more words get lost
            return " ".join(
                w for i, w in enumerate(first_words) if not i or uniform(f"{place}/{i}") >= 0.4 * min(temperature, 1.5)
            )
        words = set(_words(text))
        ranked = sorted(seen, key=lambda row: (len(words & set(_words(row[0]))), row), reverse=True)
        if not request.decoding.samples:
            return ranked[0][1]
        draw = uniform(f"draw/{text}/{request.decoding.temperature}/{request.repeat}")
        return ranked[min(int(2 * draw), len(ranked) - 1)][1]


def _log_chance(
    label: str, words: Sequence[str], seen: Mapping[str, tuple[Counter[str], int]], rows: int, labels: int
) -> float:
    """Naive Bayes, words shared with the label's name, and a tie-break that depends on the text alone."""
    counts, size = seen.get(label, (Counter(), 0))
    score = math.log((size + 1) / (rows + labels)) - len(words) * math.log((size + 100) / 100)
    score += sum(math.log(1 + counts[w] / 0.2) for w in words if w in counts)
    return score + 2.0 * len(set(words).intersection(_words(label))) + 0.01 * uniform(f"{label}/{' '.join(words)}")


def _shots(request: Request) -> list[tuple[str, str]]:
    turns = [m for m in request.messages if m.role != "system"]
    pairs = zip(turns[:-1:2], turns[1::2], strict=False)
    return [(question.content, reply.content) for question, reply in pairs if reply.role == "assistant"]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
