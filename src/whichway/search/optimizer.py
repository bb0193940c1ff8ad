"""One search of `prompt_search`: from the starting prompt, batch by batch, to the best prompt for one seed."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from whichway.contracts import Bench, RaceResult
from whichway.errors import BudgetSpent, OptionError, WayFailed
from whichway.nouns import Candidate, Decoding, Example, Prompt, Reply, TrainDevView, Weights, digest
from whichway.prompts.calibrate import biased, calibrated, fitted_bias
from whichway.prompts.nearest import chosen_encoder
from whichway.prompts.plain import base_prompt, decoding_for
from whichway.search import rewrite
from whichway.search.bandit import Bandit
from whichway.search.context import Failure, Proposal, SearchContext
from whichway.search.guards import faults, grams
from whichway.search.mutations import mutations

REWRITE = "rewrite"
REWRITE_WEIGHT = 0.5
WRITTEN = 160  # tokens of a rewritten instruction
FINAL_SHARE = 0.15  # share of the calls kept for the last comparison with the starting prompt
LOOK = 24  # dev rows at the first look of a race, or up to twice as many (see `first_look`)


class Numbers(Protocol):
    """The options that a search reads."""

    @property
    def batch(self) -> int:
        """Proposals in a round."""

    @property
    def rounds(self) -> int:
        """The largest number of rounds."""

    @property
    def patience(self) -> int:
        """Rounds without a gain before the search stops."""

    @property
    def proposer(self) -> str:
        """Which model rewrites: the model under trial, or another."""

    @property
    def without(self) -> tuple[str, ...]:
        """Mutations that are left out."""

    @property
    def calibrate(self) -> int:
        """Dev rows that labels are calibrated on."""

    @property
    def encoder(self) -> str:
        """The sentence encoder that nearest shots are chosen by."""

    @property
    def max_tokens(self) -> int:
        """Tokens of an answer at most."""


@dataclass(frozen=True, slots=True)
class Variants:
    """One prompt with its ways of reading labels off, and the training rows that it got wrong."""

    candidates: tuple[Candidate, ...]
    failures: tuple[Failure, ...]


class Search:
    """From the starting prompt to the best one.

    Args:
        task: what is asked.
        bench: where.
        options: of the way.
        seed: of everything that is drawn.
        calls: answers that may be bought.
        share: of how many seeds what is left of the budget's time and money must do.
    """

    def __init__(self, task: TrainDevView, bench: Bench, options: Numbers, seed: int, calls: int, share: int) -> None:
        self._task, self._bench, self._options, self._seed = task, bench, options, seed
        self._rng = random.Random(f"{seed}/{task.name}/search")
        self._calls, self._first = calls, bench.spent.calls or 0
        self._began, self._share = bench.spent.seconds or 0.0, share
        self._seconds = None if bench.left.seconds is None else bench.left.seconds / share
        self._usd = None if bench.left.usd is None else (bench.spent.usd or 0.0) + bench.left.usd / share
        rows = self._rng.sample(task.train, len(task.train))
        self._look = first_look(len(task.dev))
        spare = max(0, calls - 2 * self._look)
        self._held = min(options.calibrate, len(rows) // 3, spare)  # training rows that are asked, never shown
        self._asked, self._rows = rows[: self._held], tuple(rows[self._held :])
        self._prior = Counter(e.target for e in task.train)
        self._dev = grams(e.text for e in task.dev) - grams(e.text for e in task.train)
        weights = {name: idea.WEIGHT for name, idea in mutations().items() if name not in options.without}
        if options.proposer != "none":
            weights[REWRITE] = REWRITE_WEIGHT
        self._portfolio = Bandit(weights, options.patience)
        self._seen: set[str] = set()
        self._notes: dict[str, str] = {}  # prompt -> how it came about
        self._writer = _writer(bench, options.proposer)
        self._start = base_prompt(task)
        self._encoder = chosen_encoder(bench, options.encoder)

    # the whole

    def run(self) -> Iterator[Candidate]:
        """Yield the best candidate; the starting prompt when nothing is shown to be better."""
        decoding = decoding_for(self._task, self._options.max_tokens, 0.0, "prompt_search")
        start = Candidate(self._start, self._bench.base, decoding, seed=self._seed, note="starting prompt")
        best, why = start, f"stopped after {self._options.rounds} batches"
        try:
            now = self._variants(start)
            if now is None:
                raise WayFailed("the starting prompt does not fit into the model; see the way's log")
            for number in range(1, self._options.rounds + 1):
                reason = self._over() or self._stalled()
                if reason:
                    why = reason
                    break
                best, now = self._round(number, best, now)
                if self._good_enough(best):
                    why = f"stopped at the wanted dev score of {self._bench.until:g}"
                    break
        except BudgetSpent as spent:
            why = f"stopped: {spent}"
        yield self._finish(start, best, why)

    def _round(self, number: int, best: Candidate, now: Variants) -> tuple[Candidate, Variants]:
        """Draw a batch, race it with what it started from; returns the winner with its variants."""
        batch = self._batch(best, now)
        entered = {best.id: now} | {c.id: v for v in batch.values() for c in v.candidates}
        field = list(dict.fromkeys([best, *now.candidates, *(c for v in batch.values() for c in v.candidates)]))
        room = max(0, self._rest() - self._final_calls())
        least = 2 * self._look * (len(batch) + 1)
        calls = min(room, max(least, room // 2))
        ranked = self._bench.race(field, keep=1, calls=calls, halve=len(batch) > 1)
        if not ranked:
            return best, now
        ranks = {runner.candidate.id: place for place, runner in enumerate(ranked)}
        mine = min((ranks[c.id] for c in (best, *now.candidates) if c.id in ranks), default=len(ranks))
        won = {
            name: min((ranks[c.id] for c in variants.candidates if c.id in ranks), default=len(ranks)) < mine
            for name, variants in batch.items()
        }
        self._portfolio.learn(won)
        winner = ranked[0].candidate
        self._tell(number, len(batch), ranked[0], won)
        return winner, entered.get(winner.id, now)

    def _finish(self, start: Candidate, best: Candidate, why: str) -> Candidate:
        """The winner, when a last comparison shows a gain; else the starting prompt. Both with the finish reason."""
        ranked = [] if best.id == start.id else self._bench.race([start, best], calls=self._rest(), halve=False)
        by_id = {runner.candidate.id: runner for runner in ranked}
        if len(by_id) < 2:
            reason = "no gain found" if best.id == start.id else "no rows left to compare with the starting prompt"
            return self._with_result(start, f"{reason}; {why}")
        gain, error, rows = _gain(by_id[start.id], by_id[best.id])
        result = f"dev {100 * gain:+.1f} points (standard error {100 * error:.1f}) on {rows} rows"
        if gain <= error:
            return self._with_result(start, f"no gain found: the best of the others had {result}; {why}")
        return self._with_result(best, f"{result}; {why}")

    def _with_result(self, candidate: Candidate, result: str) -> Candidate:
        self._bench.say(f"seed {self._seed}: {candidate.note}: {result}")
        return replace(candidate, note=f"{candidate.note}; {result}")

    # proposals

    def _batch(self, best: Candidate, now: Variants) -> dict[str, Variants]:
        """Idea -> its proposal, ready to race."""
        evidence = SearchContext(self._rows, self._task.labels, now.failures, self._encoder)
        room = max(0, self._rest() - self._final_calls()) // (self._held + 2 * self._look)
        batch: dict[str, Variants] = {}
        for name in self._portfolio.order(self._rng):
            if len(batch) >= max(1, min(self._options.batch, room)) or self._rest() <= self._held:
                break
            proposal = self._propose(name, best.prompt, evidence)
            variants = proposal and self._ready(proposal, best)
            if variants:
                batch[name] = variants
            else:
                self._portfolio.fail(name)
        return batch

    def _propose(self, name: str, prompt: Prompt, evidence: SearchContext) -> Proposal | None:
        if name == REWRITE:
            return self._rewritten(prompt, evidence)
        return mutations()[name].propose(prompt, evidence, self._rng)

    def _rewritten(self, prompt: Prompt, evidence: SearchContext) -> Proposal | None:
        """What the writer makes of the instruction."""
        if not evidence.failures:
            return None
        writer = Candidate(Prompt(objective=rewrite.TASK), self._writer, Decoding("generate", WRITTEN, 0.7))
        question = Example({"text": rewrite.question(prompt, evidence, self._rng)}, "")
        reply = self._bench.ask(writer, [question])[0]
        read = rewrite.read(prompt, reply.text, reply.finish)
        if isinstance(read, str):
            self._bench.say(f"seed {self._seed}: a rewritten instruction was refused: {read}")
            return None
        return read

    def _ready(self, proposal: Proposal, parent: Candidate) -> Variants | None:
        """A proposal that is new and passes the guards, with its variants."""
        mark = digest(proposal.prompt)
        wrong = faults(proposal.prompt, self._start, self._dev)
        if wrong:
            self._bench.say(f"seed {self._seed}: refused ({proposal.note}): {', '.join(wrong)}")
        if wrong or mark in self._seen:
            return None
        self._seen.add(mark)
        before = self._notes.get(digest(parent.prompt))
        candidate = Candidate(
            proposal.prompt,
            self._bench.base,
            decoding_for(self._task, self._options.max_tokens, 0.0, "prompt_search"),
            seed=self._seed,
            note=f"{before} + {proposal.note}" if before else proposal.note,
            parent=parent.id,
        )
        self._notes[mark] = candidate.note
        return self._variants(candidate)

    def _variants(self, candidate: Candidate) -> Variants | None:
        """Ask some training rows: for biases, for failures, and whether the prompt fits into the model at all."""
        self._seen.add(digest(candidate.prompt))
        replies = self._bench.ask(candidate, self._asked)
        broken = next((r.error for r in replies if r.finish == "error"), None)
        if broken:
            self._bench.say(f"seed {self._seed}: refused ({candidate.note}): {broken}")
            return None
        variants = [candidate, *self._calibrated(candidate, replies)]
        texts = [biased(reply, variants[-1].decoding.bias).text for reply in replies]
        failures = tuple(
            Failure(e, text) for e, text in zip(self._asked, texts, strict=True) if text.strip() != e.target
        )
        return Variants(tuple(variants), failures)

    def _calibrated(self, candidate: Candidate, replies: Sequence[Reply]) -> Iterator[Candidate]:
        """The same prompt with the labels' popularity evened out, and with biases fitted on the answers."""
        known = [(r.scores, e.target) for e, r in zip(self._asked, replies, strict=True) if e.target in r.scores]
        even = calibrated(candidate, replies)
        if not known or even is None:
            return
        yield even
        prior = {label: self._prior[label] / len(self._task.train) for label in self._task.labels}
        bias = fitted_bias([scores for scores, _ in known], [target for _, target in known], prior)
        yield replace(candidate, decoding=replace(candidate.decoding, bias=bias), note=f"{candidate.note}, fitted")

    # caps

    def _rest(self) -> int:
        """Answers that may still be bought."""
        return self._calls - ((self._bench.spent.calls or 0) - self._first)

    def _final_calls(self) -> int:
        return int(FINAL_SHARE * self._calls)

    def _over(self) -> str:
        """Why no further batch can be paid for, or ""."""
        if self._rest() - self._final_calls() < self._held + 2 * self._look:
            return f"stopped at the cap of {self._calls} calls"
        if self._seconds is not None and (self._bench.spent.seconds or 0.0) - self._began >= self._seconds:
            return f"stopped at the cap of {self._seconds:.3g} s"
        if self._usd is not None and (self._bench.spent.usd or 0.0) >= self._usd:
            return "stopped at the cap in money"
        return ""

    def _stalled(self) -> str:
        return "" if self._portfolio.live else "every proposer stalled"

    def _good_enough(self, best: Candidate) -> bool:
        return self._bench.until is not None and self._bench.value(best) >= self._bench.until

    def _tell(self, number: int, size: int, first: RaceResult, won: dict[str, bool]) -> None:
        """A line of progress with the time that the rest will take."""
        spent, used = self._bench.spent, self._calls - self._rest()
        pace = ((spent.seconds or 0.0) - self._began) / max(1, used)
        helped = ", ".join(name for name, success in won.items() if success) or "none of them"
        self._bench.say(
            f"seed {self._seed}, batch {number}: {size} proposals, helped: {helped}; best: {first.candidate.note}, "
            f"dev {first.value:.3f} on {len(first.scores)} rows; {used} of {self._calls} calls, "
            f"at most {pace * self._rest():.0f} s to go"
        )


def _writer(bench: Bench, proposer: str) -> Weights:
    """Whose weights rewrite instructions."""
    backend, colon, base = proposer.partition(":")
    if not colon:
        return bench.base
    try:
        return bench.weights(backend, proposer if backend == "fake" else base)
    except KeyError:
        raise OptionError(f"prompt_search.proposer is '{proposer}': there is no backend '{backend}'.") from None


def first_look(rows: int) -> int:
    """Dev rows at the first look of a race over so many."""
    while math.ceil(rows / 2) >= LOOK:
        rows = math.ceil(rows / 2)
    return rows


def _gain(start: RaceResult, best: RaceResult) -> tuple[float, float, int]:
    """Mean paired difference on the rows that both answered, its standard error, and their number."""
    differences = [b - a for a, b in zip(start.scores, best.scores, strict=False)]
    n = len(differences)
    mean = sum(differences) / n
    if n < 2:
        return mean, math.inf, n
    return mean, math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1) / n), n
