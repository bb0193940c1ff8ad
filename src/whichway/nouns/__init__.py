"""The nouns of the house: frozen, JSON-able, no I/O. This package and `contracts.py` are all an extender must read.

A `Candidate` is a prompt and a set of weights. Prompt engineering moves along one axis, fine-tuning along the other;
everything downstream (measuring, deciding, shipping, serving) sees only candidates.
"""

from whichway.nouns.candidate import (
    Candidate,
    Decoding,
    Form,
    Headings,
    Layout,
    Listing,
    Mode,
    Prompt,
    Shot,
    Weights,
    Wrap,
    apart,
    contestant,
)
from whichway.nouns.decision import Kind, Pair, Plan, Standing, Sureness, Verdict
from whichway.nouns.example import Example, Message, Role, Split, row_text, transcript
from whichway.nouns.json_form import LATE, canonical, digest, from_json, to_json
from whichway.nouns.record import Outcome, Record, Reply, Request, Score
from whichway.nouns.task import Budget, JudgeSpec, MetricSpec, Practice, Task
from whichway.nouns.training_job import Adapter, TrainJob, TrainRow

__all__ = [
    "LATE",
    "Adapter",
    "Budget",
    "Candidate",
    "Decoding",
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
    "Practice",
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
    "TrainJob",
    "TrainRow",
    "Verdict",
    "Weights",
    "Wrap",
    "apart",
    "canonical",
    "contestant",
    "digest",
    "from_json",
    "row_text",
    "to_json",
    "transcript",
]
