"""The nouns of the house: frozen, JSON-able, no I/O. This file and `contracts.py` are all an extender must read.

A `Candidate` is a prompt and a set of weights. Prompt engineering moves along one axis, fine-tuning along the other;
everything downstream (measuring, deciding, shipping, serving) sees only candidates.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Literal, TypeVar

from whichway.errors import UserError
from whichway.findings import (
    BreakEven,
    CheckShare,
    Crossover,
    Curve,
    Forgetting,
    Formats,
    Judgement,
    Odds,
    Overlap,
    Race,
    Selection,
    Sentence,
    Slice,
    Spread,
    Variety,
)

Split = Literal["train", "dev", "test"]
Kind = Literal["baseline", "prompt", "fine-tune", "both"]
Outcome = Literal["ok", "unparsed", "error"]
Role = Literal["system", "user", "assistant"]
Sureness = Literal["decided", "leaning", "toss-up"]
Layout = Literal["system", "user"]
Mode = Literal["choose", "generate", "likelier", "likelier_per_token"]
T = TypeVar("T")


def to_json(noun: Any) -> Any:
    """Plain JSON types for a noun, field by field, tuples as lists."""
    kind = type(noun)
    if kind in _PLAIN:
        return noun
    if kind is tuple or kind is list:
        return [to_json(v) for v in noun]
    if dataclasses.is_dataclass(kind):
        late = _late(kind)
        found = ((name, getattr(noun, name)) for name in _field_names(kind))
        return {name: to_json(value) for name, value in found if name not in late or (value and value != late[name])}
    if isinstance(noun, Mapping):
        return {str(k): to_json(v) for k, v in noun.items()}
    return noun


def from_json(kind: type[T], data: Any) -> T:
    """A noun (or another dataclass) from its JSON, checked; keys that it does not have are left out.

    Raises:
        UserError: the data are not what `to_json` writes for it.
    """
    from pydantic import ValidationError

    try:
        found: T = _adapter(kind).validate_python(data)  # type: ignore[arg-type]  # classes are hashable
        return found
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"a {kind.__name__.lower()} in the run folder is damaged or of another version "
            f"({at}: {first['msg']}). Run the contest again."
        ) from error


@cache
def _adapter(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


_PLAIN = frozenset({str, int, float, bool, type(None)})


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind))


@cache
def _late(kind: type) -> Mapping[str, Any]:
    """Fields that came later, with their defaults: left out while they are at it or empty, so that digests stay."""
    return {f.name: f.default for f in dataclasses.fields(kind) if f.metadata.get("late")}


LATE = {"late": True}  # metadata of such a field


def contestant(way: str, model: str) -> str:
    """A way on one of several models, as the run folder names it: "prompt_plain@small"; a way alone without a model."""
    return f"{way}@{model}" if model else way


def apart(name: str) -> tuple[str, str]:
    """Way and model of a contestant; the model is "" where there is only one, or none is needed."""
    way, _, model = name.partition("@")
    return way, model


@lru_cache(maxsize=100_000)
def _example_id(
    items: tuple[tuple[str, str], ...],
    target: str,
    group: str | None,
    rejected: str | None,
    turns: tuple[Message, ...],
) -> str:
    return digest([list(items), target, group, *([] if rejected is None else [rejected]), *([turns] if turns else [])])


def canonical(value: Any) -> str:
    """The one JSON spelling of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any, size: int = 16) -> str:
    """Hex digest of a value's content, `size` characters."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:size]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str
    # a turn of the row's own conversation before its last: left out, the oldest first, where the whole is too long
    earlier: bool = field(default=False, metadata=LATE)
    untrained: bool = field(default=False, metadata=LATE)  # an answer of weight 0: context, never learned


def transcript(turns: Sequence[Message]) -> str:
    """A conversation as one text, for all that reads words: "role: text" lines; a single turn is its text alone."""
    if len(turns) == 1:
        return turns[0].content
    return "\n".join(f"{turn.role}: {turn.content}" for turn in turns)


def row_text(messages: Sequence[Message]) -> str:
    """The row in the messages that ask a bare prompt of it, as one text: its last message, with all said before it."""
    return transcript([*(m for m in messages[:-1] if m.earlier), messages[-1]])


@dataclass(frozen=True, slots=True)
class Example:
    """One row: input fields, the wanted answer, and the group (customer, document) that it must not be split from."""

    input: Mapping[str, str]
    target: str
    group: str | None = None
    origin: str = ""  # "tickets.csv:57", for messages; not part of the id
    rejected: str | None = None  # in preference data: the answer that `target` was preferred to
    # a conversation as its turns, a system message of its own first and the last user's message last; its column in
    # `input` holds the transcript. Empty where the input is one text
    turns: tuple[Message, ...] = field(default=(), metadata=LATE)

    @property
    def id(self) -> str:
        """Digest of content (input, target, group, rejected answer, turns), never a position."""
        return _example_id(tuple(self.input.items()), self.target, self.group, self.rejected, self.turns)

    @property
    def text(self) -> str:
        """The input as one text: the value of a single field, else "name: value" lines."""
        if len(self.input) == 1:
            return next(iter(self.input.values()))
        return "\n".join(f"{name}: {value}" for name, value in self.input.items())


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric by name with its options, as the task file gives it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """A model that judges written answers by a rubric, as the task file gives it. It stands beside the metric."""

    model: str  # the user's word for it, as for the model under trial
    rubric: str  # what is judged: "Does the letter sound like the pet itself?"
    levels: tuple[str, ...] = ("poor", "weak", "fair", "good", "excellent")  # in words, worst first
    repeats: int = 3  # times that each answer is judged, levels in another order each time: the judge's own noise
    pairs: bool = True  # compare the ways two by two as well, each pair in both orders
    itself: bool = False  # the user's word that the model under trial, or a proposer, may judge
    temperature: float = 0.0  # 0: levels are scored; above: its word is drawn and read


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked, the examples in three splits, and how an answer is judged."""

    name: str
    ask: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    metric: MetricSpec
    labels: tuple[str, ...] = ()  # closed label set; empty for free text
    model: str = ""  # the user's word for it; "": the default of models.yaml
    volume: float = 1000.0  # requests a day the winner will serve
    margin: float = 0.01  # δ: a difference below it does not matter, in units of the metric (0.01 = one point)
    budget: Budget | None = None
    ways: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # way -> options; empty: the default ways
    models: tuple[str, ...] = field(default=(), metadata=LATE)  # several models under trial; empty: `model` alone
    prompts: tuple[Prompt, ...] = ()  # the user's own, which every way starts from; empty: made from the ask
    checks: MetricSpec | None = None  # what every answer must fulfil; the metric itself where there are no targets
    judge: JudgeSpec | None = None
    options: Mapping[str, Any] = field(default_factory=dict, metadata=LATE)  # of the run, as said: see `options.py`

    @property
    def open(self) -> bool:
        """Whether no row has a wanted answer."""
        return not any(e.target for e in (*self.train, *self.dev, *self.test))

    def practice(self) -> Practice:
        """What a way may see."""
        return Practice(self.name, self.ask, self.train, self.dev, self.metric, self.labels, self.margin, self.prompts)


@dataclass(frozen=True, slots=True)
class Practice:
    """What a way sees of a task. There is no `test` attribute: the leak cannot be spelled."""

    name: str
    ask: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    metric: MetricSpec
    labels: tuple[str, ...] = ()
    margin: float = 0.01
    prompts: tuple[Prompt, ...] = ()  # the user's own, which every way starts from; empty: made from the ask

    @property
    def open(self) -> bool:
        """Whether no row has a wanted answer: nothing to train on, no worked example to show."""
        return not any(e.target for e in (*self.train, *self.dev))

    @property
    def mode(self) -> Mode:
        """How answers are read: closed labels are scored, the likelier of two is taken, free text is written."""
        if self.labels:
            return "choose"
        if not self.prefers:
            return "generate"
        return "likelier_per_token" if self.metric.options.get("per_token") else "likelier"

    @property
    def thinks(self) -> bool:
        """Whether wanted answers begin with reasoning, which is learned and read with them."""
        return not self.labels and any(e.target.startswith("<think>") for e in self.train)

    @property
    def prefers(self) -> bool:
        """Whether the rows are preferences: a wanted and a rejected answer to each."""
        return bool(self.train) and self.train[0].rejected is not None


@dataclass(frozen=True, slots=True)
class Shot:
    """A worked example inside a prompt: the input as text, and the answer."""

    text: str
    answer: str
    # the fields by name, where there are several: for prompts that name variables
    input: tuple[tuple[str, str], ...] = field(default=(), metadata=LATE)
    turns: tuple[Message, ...] = field(default=(), metadata=LATE)  # of an input that is a conversation


Headings = Literal["none", "markdown", "colon", "tags", "capitals"]
Listing = Literal["sentence", "comma", "bullets", "numbers", "quoted"]
Wrap = Literal["none", "label", "tags", "quotes"]


@dataclass(frozen=True, slots=True)
class Form:
    """How the slots of a prompt are laid out. The default: paragraphs without headings, in the slots' own order."""

    name: str = ""  # of the framework, for the report
    sections: tuple[tuple[str, tuple[str, ...]], ...] = ()  # heading -> slots below it, in order; empty: each its own
    headings: Headings = "none"  # how a heading is written; "none": left out
    labels: Listing = "sentence"  # how the allowed answers are listed
    wrap: Wrap = "none"  # how a row's text (and a shot's) is told from the instructions


@dataclass(frozen=True, slots=True)
class Prompt:
    """Slots and shots, never a loose string; `prompts.template` renders it. Empty slots leave no trace.

    The row's text enters by substitution after rendering; it is never read as a template.
    """

    objective: str = ""  # what is asked, one or two sentences
    role: str = ""
    context: str = ""
    instructions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()  # listed allowed answers
    output_format: str = ""
    shots: tuple[Shot, ...] = ()
    reminder: str = ""  # after the input
    layout: Layout = "system"  # where instructions stand: a system message, or before the first input
    protected: tuple[str, ...] = ("labels",)  # slots that no optimiser may change
    audience: str = ""
    steps: tuple[str, ...] = ()  # in order; rendered as a numbered list
    constraints: tuple[str, ...] = ()
    tone: str = ""
    style: str = ""
    success_criteria: str = ""
    glosses: tuple[tuple[str, str], ...] = ()  # label -> words that explain it, listed with the label
    form: Form = Form()
    pool: tuple[Shot, ...] = ()  # shots to choose from for each row; see `nearest`
    nearest: int = 0  # so many of the pool, those most like the row, are shown after the shots
    # most characters of those together; the least similar are left out of longer ones. 0: any
    shot_characters: int = field(default=0, metadata=LATE)
    # the sentence encoder by whose vectors they are alike; None: by the words that they share
    encoder: Weights | None = field(default=None, metadata=LATE)
    # fields of a row that the texts name: `{{name}}` is filled in where it stands. Empty: nothing is filled in, and the
    # row's text follows the instructions
    variables: tuple[str, ...] = field(default=(), metadata=LATE)
    # with variables: the message that brings the row, with its `{{name}}`; empty: none follows
    row: str = field(default="", metadata=LATE)
    # turns that the prompt's author wrote before that message
    lead: tuple[Message, ...] = field(default=(), metadata=LATE)

    @property
    def content(self) -> dict[str, Any]:
        """Its JSON without the younger slots that are at their default, so that a prompt keeps its digest for good."""
        plain: dict[str, Any] = to_json(self)
        if not self.variables:  # nothing reads the fields of a shot then
            for shot in (*plain["shots"], *plain["pool"]):
                shot.pop("input", None)
        young = {f.name: f.default for f in dataclasses.fields(self) if f.name in _YOUNG}
        if self.encoder is not None:  # by its files, wherever they lie
            plain["encoder"] = self.encoder.revision
        return {name: value for name, value in plain.items() if name not in young or getattr(self, name) != young[name]}


_YOUNG = frozenset(
    {"audience", "steps", "constraints", "tone", "style", "success_criteria", "glosses", "form"}
    | {"pool", "nearest", "variables", "row", "lead"}
)


@dataclass(frozen=True, slots=True)
class Weights:
    """Which weights answer: a backend's base model at a revision, with or without an adapter."""

    backend: str  # "local", "classical", "fake", ...
    base: str  # the user's word for the base (see `models.find`); "tfidf", ... of baselines
    revision: str = ""  # digest of weights, tokenizer and chat template
    adapter: str | None = None  # digest of the trained part
    kind: str = "none"  # what the adapter is: "lora", "full", "probe", "tfidf", "majority", ...

    @property
    def key(self) -> tuple[str, str, str | None, str]:
        """What tells these weights from others: content only, so that a moved model folder stays the same model."""
        return (self.backend, self.revision, self.adapter, self.kind)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How an answer is read off the model."""

    mode: Mode = "choose"  # score the closed labels, write text, or take the likelier of two whole answers
    max_tokens: int = 64
    temperature: float = 0.0
    bias: tuple[tuple[str, float], ...] = ()  # log-probability added to a label when choosing (batch calibration)
    # written text is thoughts, and the answer stands behind the last of these marks
    answer_mark: str = field(default="", metadata=LATE)
    # texts drawn for one answer; the most frequent answer counts (self-consistency)
    votes: int = field(default=1, metadata=LATE)
    # a label's score is the likelihood of the row's text under it (noisy channel); see `template.channel_messages`
    channel: bool = field(default=False, metadata=LATE)
    # the answer brings its own reasoning (`<think>`), as the wanted ones do: the template leaves room for it
    thinking: bool = field(default=False, metadata=LATE)

    @property
    def one(self) -> Decoding:
        """How a single text of it is written."""
        return dataclasses.replace(self, answer_mark="", votes=1)

    @property
    def draws(self) -> bool:
        """Whether answers are drawn, so that the same question can get another one; labels are never drawn."""
        return self.mode == "generate" and self.temperature > 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt and a set of weights (and how the answer is read off): all that can be measured, shipped, served."""

    prompt: Prompt
    weights: Weights
    decoding: Decoding
    way: str = ""  # who made it; not part of the id
    seed: int = 0  # not part of the id
    note: str = ""  # a few words for the report: "8 shots, balanced"; not part of the id
    parent: str = ""  # id of the candidate that it was made from; not part of the id

    @property
    def id(self) -> str:
        """Digest of content: prompt, weights, decoding."""
        return digest([self.prompt.content, self.weights.key, self.decoding])


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a session: rendered messages; with `labels`, the answer is one of them."""

    messages: tuple[Message, ...]
    decoding: Decoding
    labels: tuple[str, ...] = ()
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a session answers. Tokens are counted, not estimated; seconds are this row's share of its batch."""

    text: str
    tokens_in: int = 0  # prompt tokens computed for this row
    tokens_cached: int = 0  # prompt tokens reused from a shared prefix
    tokens_out: int = 0
    seconds: float = 0.0
    scores: Mapping[str, float] = field(
        default_factory=dict
    )  # label -> log-probability among the labels, when choosing
    finish: Literal["stop", "length", "error"] = "stop"
    error: str = ""
    thoughts: str = field(default="", metadata=LATE)  # what was written, where the answer was read off it
    unread: str = field(default="", metadata=LATE)  # why no answer could be read off what was written
    trimmed: int = field(default=0, metadata=LATE)  # oldest turns left out, so that the conversation fits the model


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's word on one answer: a value in 0..1, or None with the reason (no answer could be read)."""

    value: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One row: what one candidate did on one example, once. Every number anyone sees comes from records."""

    candidate: str
    example: str
    split: Split
    repeat: int
    outcome: Outcome
    score: float | None
    text: str
    why: str  # why there is no score; the thoughts, where the answer was read off some
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    seconds: float
    usd: float  # list price
    cached: bool = False  # answered from the cache when this line was written
    # label -> log-probability among the labels; kept where the metric reads it
    scores: Mapping[str, float] = field(default_factory=dict, metadata=LATE)

    @property
    def points(self) -> float:
        """The score; 0 for an answer that could not be read, whose share is always reported beside it."""
        return self.score or 0.0


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One row as the trainer and the evaluator both see it: rendered messages and the answer that follows."""

    messages: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class TrainJob:
    """A training: what to train, on which rows, with which numbers. Its digest is the cache key.

    Rows of the kind "dpo" come in pairs: the wanted answer, then the rejected one.
    """

    kind: str  # "lora", "full", "probe", "tfidf", "majority", ...
    weights: Weights  # the start
    rows: tuple[TrainRow, ...]
    labels: tuple[str, ...]
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)  # rate, epochs, rank, ...; each kind refuses unknown ones

    @property
    def id(self) -> str:
        """Digest of content."""
        return digest([self.kind, self.weights.key, self.rows, self.labels, self.seed, self.options], 32)

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the steps, behind each checkpoint: the option `checkpoints`, so many or these shares; 1 is the last."""
        given = self.options.get("checkpoints") or 1
        return tuple((k + 1) / given for k in range(given)) if isinstance(given, int) else tuple(given)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A checkpoint that a training gives: weights that can answer, and what they cost so far."""

    weights: Weights
    step: int
    epoch: float
    loss: float | None  # mean training loss since the last checkpoint, nats per trained token
    seconds: float  # since the start of the training
    tokens: int  # trained and read so far
    bytes: int  # size of the trained part on disk
    peak_bytes: int | None = field(default=None, metadata=LATE)  # memory of the training process at its most


@dataclass(frozen=True, slots=True)
class Budget:
    """One purse per way, the same for each; whichever ends first. None: no limit."""

    usd: float | None = None
    seconds: float | None = None
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything fixed before the first call. A rerun with another plan refuses and shows the difference."""

    task: str
    ask: str
    metric: MetricSpec
    labels: tuple[str, ...]
    splits: Mapping[str, str]  # split -> digest of its example ids
    rows: Mapping[str, int]  # split -> number of rows
    model: str
    revision: str
    ways: Mapping[str, Mapping[str, Any]]  # way -> all options, defaults filled in
    seeds: tuple[int, ...]
    budget: Budget
    volume: float
    margin: float
    confidence: float
    price_per_hour: float  # usd, of this machine
    versions: Mapping[str, str]
    smallest_gap: float | None  # that this contest finds 9 times of 10, if seeds differ by 2 points
    warnings: tuple[str, ...] = ()
    race: bool = True  # whether candidates race over dev rows
    curve: tuple[int, ...] = ()  # numbers of training rows that every way is fitted on as well
    repeats: int = 1  # decodings of a test row, for candidates that draw
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict, metadata=LATE)  # name -> model, revision
    until: float | None = None  # dev score at which a training stops
    general: str = field(default="", metadata=LATE)  # digest of the user's own text for forgetting
    prompts: tuple[Prompt, ...] = ()  # the user's own
    checks: MetricSpec | None = field(default=None, metadata=LATE)
    judge: JudgeSpec | None = field(default=None, metadata=LATE)
    options: Mapping[str, Any] = field(default_factory=dict, metadata=LATE)  # other options of the run, not at defaults
    metric_title: str = field(default="", metadata=LATE)  # as people write it, where the metric says so


@dataclass(frozen=True, slots=True)
class Standing:
    """One way in the verdict: its finalists over seeds, on test."""

    way: str
    kind: Kind
    status: Literal["ok", "failed"]
    reason: str  # why it failed, or ""
    candidates: tuple[str, ...]  # finalist ids, one per seed
    note: str
    seeds: int
    rows: int
    score: float | None  # mean over seeds and rows
    low: float | None
    high: float | None
    seed_sd: float | None  # between seeds; None with one seed
    dev_score: float | None  # what selection saw
    unparsed: float  # share of rows
    seconds_fit: float  # all seconds this way spent before test, list
    seconds_per_row: float
    tokens_in: float  # per row
    tokens_cached: float
    tokens_out: float
    usd_fit: float
    usd_per_1000: float
    usd_total: float  # fit + 30 days at the task's volume
    gap: float | None  # score minus the best way's, paired
    gap_low: float | None
    gap_high: float | None
    not_worse: bool  # in the set not shown worse than the best
    model: str = field(default="", metadata=LATE)  # its short name where several models competed


@dataclass(frozen=True, slots=True)
class Pair:
    """A paired difference between two ways on the same test rows: second minus first."""

    first: str
    second: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None  # two-sided
    p_holm: float | None
    wins: int  # rows where second is right and first is not (mean over seeds higher)
    losses: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, with the numbers behind each sentence."""

    answer: Literal["prompt", "fine-tune", "both", "baseline is enough", "equivalent, take the cheaper", "undecided"]
    choice: str | None  # the way to take; when undecided, the one to use until it is decided
    candidate: str | None  # the choice's finalist that is shipped (best on dev)
    headline: str
    reasons: tuple[str, ...]
    dissent: tuple[str, ...]
    would_decide: tuple[str, ...]
    standings: tuple[Standing, ...]  # best score first
    pairs: tuple[Pair, ...]
    margin: float
    confidence: float
    volume: float
    rows: int
    warnings: tuple[str, ...] = ()
    sentences: tuple[Sentence, ...] = ()  # headline, reasons, dissent, would_decide again, with the numbers they say
    spreads: tuple[Spread, ...] = ()
    formats: tuple[Formats, ...] = field(default=(), metadata=LATE)  # of ways that ask in three forms and more
    selections: tuple[Selection, ...] = ()
    break_even: BreakEven | None = None  # of the best prompt and the best fine-tune
    slices: tuple[Slice, ...] = ()  # the choice on parts of the test rows
    overlap: Overlap | None = None
    curves: tuple[Curve, ...] = ()
    crossovers: tuple[Crossover, ...] = ()
    race: Race | None = None
    detectable: float | None = None  # gap between the best prompt and the best fine-tune found 9 times of 10
    forgetting: tuple[Forgetting, ...] = field(default=(), metadata=LATE)  # of each fine-tune's best finalist
    varieties: tuple[Variety, ...] = field(default=(), metadata=LATE)  # of answers that were written several times
    checks: tuple[CheckShare, ...] = field(default=(), metadata=LATE)
    judgement: Judgement | None = field(default=None, metadata=LATE)  # of a judge, where there is one
    sureness: Sureness | None = field(default=None, metadata=LATE)  # None: only one way competed, or none
    odds: tuple[Odds, ...] = field(default=(), metadata=LATE)  # of each way that competed, least expected loss first
    runner_up: str | None = field(default=None, metadata=LATE)  # least expected loss after the choice
