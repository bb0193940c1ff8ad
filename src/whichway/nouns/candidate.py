"""Candidates, the prompts and weights that they consist of, and how an answer is read off."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from whichway.nouns.example import Message
from whichway.nouns.json_form import LATE, digest, to_json

Layout = Literal["system", "user"]
Mode = Literal["choose", "generate", "likelier", "likelier_per_token"]
Headings = Literal["none", "markdown", "colon", "tags", "capitals"]
Listing = Literal["sentence", "comma", "bullets", "numbers", "quoted"]
Wrap = Literal["none", "label", "tags", "quotes"]


def qualified_name(way: str, model: str) -> str:
    """A way on one of several models, as the run folder names it: "prompt_plain@small"; a way alone without a model."""
    return f"{way}@{model}" if model else way


def split_name(name: str) -> tuple[str, str]:
    """Way and model of a contestant; the model is "" where there is only one, or none is needed."""
    way, _, model = name.partition("@")
    return way, model


@dataclass(frozen=True, slots=True)
class Shot:
    """A worked example inside a prompt: the input as text, and the answer."""

    text: str
    answer: str
    # the fields by name, where there are several: for prompts that name variables
    input: tuple[tuple[str, str], ...] = field(default=(), metadata=LATE)
    turns: tuple[Message, ...] = field(default=(), metadata=LATE)  # of an input that is a conversation


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
    # written text is thoughts, and the answer stands after the last of these marks
    answer_mark: str = field(default="", metadata=LATE)
    # texts drawn for one answer; the most frequent answer counts (self-consistency)
    votes: int = field(default=1, metadata=LATE)
    # a label's score is the likelihood of the row's text under it (noisy channel); see `template.channel_messages`
    channel: bool = field(default=False, metadata=LATE)
    # the answer brings its own reasoning (`<think>`), as the wanted ones do: the template leaves room for it
    thinking: bool = field(default=False, metadata=LATE)

    @property
    def without_votes(self) -> Decoding:
        """How a single text of it is written."""
        return dataclasses.replace(self, answer_mark="", votes=1)

    @property
    def samples(self) -> bool:
        """Whether answers are drawn, so that the same question can get another one; labels are never drawn."""
        return self.mode == "generate" and self.temperature > 0


@dataclass(frozen=True, slots=True)
class Deferral:
    """What makes a candidate the first stage of a cascade: whom it defers to, and below which confidence.

    The confidence of an answer is `1 / (1 + exp(-(slope · z + intercept)))`, z being the log-odds of its label among
    all labels (Platt 1999; of the top label alone: Gupta & Ramdas 2022, arXiv 2107.08353); see `prompts.deferral`.
    """

    to: Candidate  # it answers where the confidence is lower
    least: float  # confidence of an answer that stands; 0: every answer stands, 1: none does
    slope: float = 1.0
    intercept: float = 0.0


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
    # another candidate answers where this one is not sure; None: all answers are its own
    deferral: Deferral | None = field(default=None, metadata=LATE)

    @property
    def id(self) -> str:
        """Digest of content: prompt, weights, decoding, and those of the candidate that it defers to."""
        content: list[Any] = [self.prompt.content, self.weights.key, self.decoding]
        if self.deferral is not None:
            content.append([self.deferral.to.id, self.deferral.least, self.deferral.slope, self.deferral.intercept])
        return digest(content)

    @property
    def stages(self) -> tuple[Candidate, ...]:
        """Those that may answer a row, in the order in which they are asked; without a deferral, itself alone."""
        if self.deferral is None:
            return (self,)
        return dataclasses.replace(self, deferral=None), *self.deferral.to.stages

    @property
    def deferrals(self) -> tuple[Deferral, ...]:
        """What stands between its stages, in their order; empty without a deferral."""
        return () if self.deferral is None else (self.deferral, *self.deferral.to.deferrals)
