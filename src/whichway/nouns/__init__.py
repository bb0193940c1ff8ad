"""The nouns of the package: frozen, JSON-able, no I/O. This package and `contracts.py` are all an extender must read.

A `Candidate` is a prompt and a set of weights. Prompt engineering moves along one axis, fine-tuning along the other;
everything downstream (measuring, deciding, shipping, serving) sees only candidates. One that defers to another where it
is not sure is a candidate, too.
"""

from whichway.nouns.candidate import (
    Candidate,
    Decoding,
    Deferral,
    Form,
    Headings,
    Layout,
    Listing,
    Mode,
    Prompt,
    Shot,
    Weights,
    Wrap,
    qualified_name,
    split_name,
)
from whichway.nouns.decision import Kind, Pair, Plan, Standing, Sureness, Verdict
from whichway.nouns.example import Example, Message, Role, Split, row_text, transcript
from whichway.nouns.json_form import LATE, canonical, digest, from_json, to_json
from whichway.nouns.record import Outcome, Record, Reply, Request, Score
from whichway.nouns.task import Budget, JudgeSpec, MetricSpec, Task, TrainDevView
from whichway.nouns.training_job import Adapter, TrainJob, TrainRow

__all__ = [
    "LATE",
    "Adapter",
    "Budget",
    "Candidate",
    "Decoding",
    "Deferral",
    "Example",
    "Form",
    "Headings",
    "JudgeSpec",
    "Kind",
    "Layout",
    "Listing",
    "Message",
    "MetricSpec",
    "Mode",
    "Outcome",
    "Pair",
    "Plan",
    "Prompt",
    "Record",
    "Reply",
    "Request",
    "Role",
    "Score",
    "Shot",
    "Split",
    "Standing",
    "Sureness",
    "Task",
    "TrainDevView",
    "TrainJob",
    "TrainRow",
    "Verdict",
    "Weights",
    "Wrap",
    "canonical",
    "digest",
    "from_json",
    "qualified_name",
    "row_text",
    "split_name",
    "to_json",
    "transcript",
]
