"""What a way works at: renders, answers or trains, meters, keeps. Only the contest opens the test split.

What a way has bought in this run stays its own: the same answer or checkpoint is not charged to its budget again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from whichway.contest.account import WayAccount
from whichway.contest.candidate_answers import CandidateAnswers
from whichway.contest.ledger import RunLedger
from whichway.contest.plan import fill_options
from whichway.contest.row_splits import RowSplits
from whichway.contest.selection.candidate_race import CandidateRace, Contender, run_race
from whichway.contest.selection.race import Entry, Rules, looks, shuffled
from whichway.contest.selection.successive_halving import (
    FEWEST_ROWS,
    HalvingResult,
    RungScore,
    Trial,
    successive_halving,
)
from whichway.contest.way_trainings import Recipe, WayTrainings
from whichway.contracts import OtherWay, RaceResult, Sized, Way
from whichway.events import RatesHalved, WaySaid
from whichway.nouns import (
    Adapter,
    Budget,
    Candidate,
    Example,
    Message,
    Prompt,
    Record,
    Reply,
    Split,
    TrainDevView,
    TrainJob,
    Weights,
    digest,
    qualified_name,
    split_name,
)
from whichway.prompts.template import messages
from whichway.runs.folder import keep_adapter
from whichway.scoring import CUT, TRIMMED, clusters, is_mean, loss_of, row_values, total
from whichway.tasks import near_duplicates
from whichway.tasks.unlabelled import near_labelled
from whichway.training_kinds import INT8, rounds


@dataclass(frozen=True, slots=True)
class InFold:
    """Where a bench stands in a cross-fit.

    Attributes:
        number: of the fold, which is its seed as well; None: on the task's split, where a way goes on.
        share: of the budget that may be spent by the end of this fold; None: all of it.
        earlier: the way's bench of the fold before, or of what it did before.
    """

    number: int | None
    share: float | None
    earlier: RunBench | None


class RunBench:
    """The bench of one way of a run.

    Args:
        ledger: the books of the run.
        way: whose bench it is.
        practice: train and dev rows of this fit.
        seeds: None for those of the settings.
        name: the name in the ledger; None for the way's.
        note: stands before each line of progress.
        fold: which of several folds it works on; None: there are none.
    """

    def __init__(
        self,
        ledger: RunLedger,
        way: str,
        practice: TrainDevView,
        seeds: tuple[int, ...] | None = None,
        name: str | None = None,
        note: str = "",
        fold: InFold | None = None,
    ) -> None:
        self._ledger, self._practice, self._note, self._way = ledger, practice, note, way
        self._backends = ledger.components.backends_for(way)
        self.fold = None if fold is None else fold.number
        share, earlier = (None, None) if fold is None else (fold.share, fold.earlier)
        self.account: WayAccount = WayAccount(ledger, way, name or way, share, earlier.account if earlier else None)
        self._answers = CandidateAnswers(ledger, self.account, self._backends, practice.labels)
        self.trainings = WayTrainings(ledger, self.account, self._backends, self._answers.retriever)
        self.trainings.dev_rows = len(practice.dev)
        if earlier is not None:
            self.trainings.go_on(earlier.trainings)
        self._splits, self._order = RowSplits(practice), shuffled(practice.dev)
        self.halvings: list[HalvingResult] = []
        self.rung_rows = [0, 0]  # dev rows answered at rungs, and those of whole dev splits
        self.base = ledger.components.base_of(way)
        self.seeds = ledger.settings.seeds if seeds is None else seeds
        if self.fold is not None:
            self.seeds = (self.fold,)
        self.until = ledger.settings.until
        self.others: dict[str, OtherWay] = {}
        self._other_benches: dict[str, RunBench] = {}
        self.random_parts = False  # whether seeds matter to a part of what this way is made of
        self._dev_records: dict[str, dict[str, Record]] = {}  # candidate -> records that stand for its dev rows, by row
        self._log = ledger.folder / "ways" / way / "log"
        self._logged = {line.rstrip("\n") for line in self._log.open(encoding="utf-8")} if self._log.exists() else set()

    # what ways call

    def has(self, kind: str) -> bool:
        """Whether the model under trial can be trained in this way."""
        return kind in self._backends[self.base.backend].trains()

    def weights(self, backend: str, base: str) -> Weights:
        """Base weights of another backend."""
        return self._backends[backend].weights(base)

    def encoder(self, word: str) -> Weights | None:
        """The sentence encoder that a word names; None where it is not on this machine."""
        return self._ledger.components.encoder_of(word)

    def model(self, word: str) -> Weights:
        """A model of the contest by its short name or the user's word for it."""
        return self._ledger.components.model(word)

    def way(self, name: str) -> tuple[Way, Any] | None:
        """Another way with its options: those on the same model first, then those on any, then its defaults."""
        components, tried = self._ledger.components, self._ledger.settings.ways
        if name not in components.ways:
            return None
        own = qualified_name(name, split_name(self._way)[1])
        known = own if own in tried else next((one for one in tried if split_name(one)[0] == name), "")
        return components.ways[name], fill_options(name, components.ways[name], tried.get(known, {}))

    def near_copies(self, texts: Sequence[str]) -> list[Split | None]:
        """For each new text the split of a labelled row that it is nearly a copy of; rows out of reach are test."""
        order: tuple[Split, ...] = ("test", "dev", "train")
        ranked = sorted(
            ((order.index(self._splits.get(e.id) or "test"), e) for e in self._ledger.rows), key=lambda pair: pair[0]
        )
        sides: dict[str, Split] = {}
        for rank, example in ranked:
            sides.setdefault(near_duplicates.skeleton(example.text), order[rank])
        skeletons = [near_duplicates.skeleton(text) for text in texts]
        near = near_labelled(skeletons, sides)
        return [near.get(text) for text in skeletons]

    def render(self, prompt: Prompt, row: Example | str) -> tuple[Message, ...]:
        """The messages that ask a prompt of one row."""
        return messages(prompt, row, self._answers.retriever)

    def ask(self, candidate: Candidate, examples: Sequence[Example]) -> list[Reply]:
        """Raw answers, unjudged."""
        return [reply for reply, _ in self._answers.answers(candidate, examples, "ask")]

    def score(self, candidate: Candidate, examples: Sequence[Example]) -> list[Record]:
        """Answers to train or dev rows, judged.

        Raises:
            KeyError: a row that is neither in train nor in dev.
        """
        return self._answers.judged(candidate, examples, [self._splits[e.id] for e in examples], "score")

    def value(self, candidate: Candidate) -> float:
        """The metric on the whole dev split."""
        dev = self._practice.dev
        return total(self._ledger.components.metric, dev, self.score(candidate, dev))

    def train(
        self, kind: str, start: Weights, prompt: Prompt, examples: Sequence[Example], seed: int, **options: Any
    ) -> Iterator[Adapter]:
        """Train on rows rendered as `score` renders them; one adapter per checkpoint."""
        rows = self.trainings.rows(kind, prompt, examples)
        if self._ledger.settings.precision == INT8 and rounds(kind):
            options = {**options, "precision": INT8}
        own = {e.id for e in self._practice.train}
        added = tuple(e for e in examples if e.id not in own)
        whole = own <= {e.id for e in examples}
        for index, adapter in enumerate(
            self.trainings.train(TrainJob(kind, start, rows, self._practice.labels, seed, options))
        ):
            recipe = Recipe(kind, start, prompt, options, index, whole, added)
            self.trainings.recipes[adapter.weights.adapter or ""] = recipe
            yield adapter

    def fill(self, prompt: Prompt, examples: Sequence[Example]) -> float:
        """Share of the model's context that the longest of these rows takes, rendered as `train` renders them."""
        backend = self._backends[self.base.backend]
        return backend.fill(self.base, self.trainings.rows("", prompt, examples)) if isinstance(backend, Sized) else 0.0

    def halve(self, trials: Sequence[Trial], shares: Sequence[float]) -> int:
        """Successive halving; see the contract."""
        halving = successive_halving(trials, shares, self._rung_score, self.say)
        self.halvings.append(halving)
        if len(trials) > 1:
            event = RatesHalved(self._way, len(trials), halving.survivor, halving.runs, halving.full_runs)
            self._ledger.tell(event)
        return halving.survivor

    def race(
        self,
        candidates: Sequence[Candidate],
        keep: int = 1,
        rows: int | None = None,
        calls: int | None = None,
        halve: bool = True,
    ) -> list[RaceResult]:
        """Race candidates of this way on dev rows; see the contract."""
        contenders = [Contender(Entry(candidate)) for candidate in candidates]
        most = len(self._order) if rows is None else max(1, min(rows, len(self._order)))
        at = [look for look in looks(self._order) if look < most]
        limit = self.left.calls
        calls = limit if calls is None else calls if limit is None else min(calls, limit)
        candidate_race = CandidateRace(
            self._race_rules((*at, most)), self._answer_contender, self._contenders_price, halve
        )
        return run_race(contenders, candidate_race, keep, calls)

    def price(self, candidate: Candidate, examples: Sequence[Example]) -> int:
        """Answers that this way does not have yet."""
        return self.account.missing(self._answers.keys(candidate, examples))

    def combine(self, name: str) -> None:
        """Take over what another way has bought and trained, and charge it."""
        other = self._other_benches[name]
        self.random_parts |= self._ledger.components.ways[split_name(name)[0]].RANDOM
        self.trainings.take_over(other.trainings)
        self.account.take_over(other.account)

    def remade(self, candidate: Candidate, examples: Sequence[Example]) -> Candidate | None:
        """Another way's finalist, made of other rows; see the contract."""
        known = (self, *self._other_benches.values())
        recipe = next((r for b in known if (r := b.trainings.recipes.get(candidate.weights.adapter or ""))), None)
        if recipe is None or not recipe.whole or recipe.added or recipe.start.adapter is not None:
            return None
        training = self.train(recipe.kind, recipe.start, recipe.prompt, examples, candidate.seed, **recipe.options)
        adapter = next(islice(training, recipe.index, None), None)
        getattr(training, "close", lambda: None)()
        return None if adapter is None else replace(candidate, weights=adapter.weights)

    def fitted_on_dev(self, candidate: Candidate, records: Sequence[Record]) -> None:
        """Let records stand for a candidate's dev rows; see the contract."""
        self._dev_records[candidate.id] = {r.example: replace(r, candidate=candidate.id) for r in records}

    @property
    def spent(self) -> Budget:
        """What this way has spent so far."""
        return self.account.spent

    @property
    def left(self) -> Budget:
        """What is left of the budget."""
        return self.account.left

    def say(self, message: str) -> None:
        """A line of progress, kept in the way's log (once: a rerun does not repeat itself)."""
        message = self._note + message
        self._ledger.tell(WaySaid(self._way, message))
        if message not in self._logged:
            self._logged.add(message)
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a", encoding="utf-8") as log:
                log.write(message + "\n")

    # what the contest calls

    def entry(self, candidate: Candidate) -> Entry:
        """A candidate at the start of the race."""
        part = candidate.weights.adapter or ""
        if part not in self.trainings.parts or candidate.deferral is not None:
            return Entry(candidate)
        training = digest([self.trainings.keys[part], candidate.prompt.content, candidate.decoding])
        return Entry(candidate, training, self.trainings.parts[part].step)

    def answer(self, entry: Entry, rows: int) -> None:
        """Give an entry of the race its scores up to `rows` rows; to all, where there are records that stand for them.

        Raises:
            BudgetSpent: the budget is spent; the entry stays as it is.
        """
        known = self._dev_records.get(entry.candidate.id)
        if known is None:
            records = self.score(entry.candidate, self._order[entry.rows : rows])
        else:
            records = [known[e.id] for e in self._order[entry.rows :]]
            self._ledger.write_records(records)
        entry.records += records
        entry.scores += [r.points for r in records]

    def value_of(self, entry: Entry, rows: int) -> float:
        """The metric on the first rows of the race."""
        return total(self._ledger.components.metric, self._order[:rows], entry.records[:rows])

    def cross(self, candidate: Candidate, test: Sequence[Example], repeats: int = 1) -> list[list[Record]]:
        """The answers of a finalist to the test split; only the contest calls this, once per finalist.

        Args:
            candidate: the finalist.
            test: the rows.
            repeats: decodings of each row, where the candidate draws its answers; otherwise all would be equal.

        Returns:
            [repeat][row].
        """
        if repeats > 1 and not any(stage.decoding.samples for stage in candidate.stages):
            self.say(f"asked once a row: at temperature 0 all {repeats} repeats would be equal")
            repeats = 1
        crossed = [self._answers.judged(candidate, test, ["test"] * len(test), "test", k) for k in range(repeats)]
        trimmed = sum(TRIMMED in record.why for record in crossed[0])
        if trimmed:
            self.say(f"{candidate.note}: {trimmed} of {len(test)} conversations are longer than the model reads; their "
                     "oldest turns were left out")  # fmt: skip
        cut = sum(CUT in record.why for record in crossed[0])
        if cut:
            self.say(f"{candidate.note}: {cut} of {len(test)} answers were {CUT} the limit of tokens; raise max_tokens")
        return crossed

    def consult(self, candidate: Candidate, examples: Sequence[Example], repeat: int = 0) -> list[Reply]:
        """Answers to questions of the contest itself, such as a judge's: metered, cached, in the ledger.

        Raises:
            BudgetSpent: the budget is spent.
        """
        return [reply for reply, _ in self._answers.answers(candidate, examples, self._way, repeat)]

    def keep(self, candidate: Candidate) -> None:
        """Put a finalist's trained part into the run folder."""
        for stage in candidate.stages:
            path = self._ledger.cache.adapter(stage.weights)
            if path is not None and stage.weights.adapter is not None:
                keep_adapter(self._ledger.folder, self._way, stage.weights.adapter, path)

    def sizes(self, candidate: Candidate) -> dict[str, Any]:
        """Bytes of a candidate's trained parts, memory that training took, and notices; {} where none was trained."""
        parts = [self.trainings.parts.get(stage.weights.adapter or "") for stage in candidate.stages]
        trained = [part for part in parts if part is not None]
        if not trained:
            return {}
        peaks = [part.peak_bytes for part in trained if part.peak_bytes is not None]
        facts: dict[str, Any] = {"bytes": sum(p.bytes for p in trained), "peak_bytes": max(peaks, default=None)}
        notices = [part.notice for part in trained if part.notice]
        return facts | ({"notice": "; ".join(notices)} if notices else {})

    def stand_beside(self, others: Mapping[str, tuple[OtherWay, RunBench]]) -> None:
        """Let a way that is made of others see what they ended at."""
        self.others = {name: other for name, (other, _) in others.items()}
        self._other_benches = {name: bench for name, (_, bench) in others.items()}

    # inside

    def _rung_score(self, candidate: Candidate, share: float) -> RungScore:
        """The task's metric on a share of the dev rows."""
        whole = len(self._order)
        count = max(min(FEWEST_ROWS, whole), math.ceil(share * whole)) if self._ledger.settings.race else whole
        self.rung_rows[0] += count
        self.rung_rows[1] += whole
        rows = self._order[:count]
        records = self.score(candidate, rows)
        value = total(self._ledger.components.metric, rows, records)
        self.say(f"{candidate.note}: dev {value:.3f} on {count} rows")
        name = candidate.note.partition(",")[0]
        return RungScore(name, value, tuple(row_values(self._ledger.components.metric, rows, records).tolist()))

    def _race_rules(self, at: tuple[int, ...]) -> Rules:
        metric, order, settings = self._ledger.components.metric, self._order, self._ledger.settings
        return Rules(
            looks=at,
            margin=self._practice.margin,
            alpha=1 - settings.confidence,
            value=self.value_of,
            sequence=is_mean(metric),
            row_values=lambda entry, rows: row_values(metric, order[:rows], entry.records[:rows]),
            groups=clusters(order),
        )

    def _answer_contender(self, contender: Contender, rows: int) -> None:
        """Give a contender its scores up to `rows` rows, and the losses of the wanted labels."""
        new = self._order[contender.entry.rows : rows]
        self.answer(contender.entry, rows)
        if contender.entry.candidate.decoding.mode == "choose":
            replies = self.ask(contender.entry.candidate, new)
            contender.losses += [loss_of(reply, e.target) for e, reply in zip(new, replies, strict=True)]

    def _contenders_price(self, contenders: Sequence[Contender], rows: int) -> int:
        keys = (
            self._answers.keys(contender.entry.candidate, self._order[contender.entry.rows : rows])
            for contender in contenders
        )
        return self.account.missing(set[str]().union(*keys))
