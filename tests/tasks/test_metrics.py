"""Each metric against hand-worked values; a contract that every discovered metric must keep."""

import math

import pytest

from whichway.errors import OptionError
from whichway.nouns import Example, MetricSpec, Score
from whichway.tasks import metrics


def example(target, **fields):
    return Example(fields or {"text": "a row"}, target)


def score(name, target, text, **options):
    return metrics.load(MetricSpec(name, options)).__call__(example(target), text).value


LABELS = ["billing", "Tech support", "c++"]
CASES = [
    ("accuracy", "billing", " Billing.\n", {"labels": LABELS}, 1.0),
    ("accuracy", "Tech support", '"tech  support"', {"labels": LABELS}, 1.0),
    ("accuracy", "c++", "**C++**", {"labels": LABELS}, 1.0),
    ("accuracy", "billing", "c++", {"labels": LABELS}, 0.0),
    ("accuracy", "billing", "I think billing", {"labels": LABELS}, None),
    ("accuracy", "billing", "", {"labels": LABELS}, None),
    ("accuracy", "billing", "sales", {}, 0.0),
    ("macro_f1", "billing", "billing", {"labels": LABELS}, 1.0),
    ("macro_f1", "billing", "none", {"labels": LABELS}, None),
    ("exact_match", "New York", "new  york.", {}, 1.0),
    ("exact_match", "New York", "new york", {"strict": True}, 0.0),
    ("exact_match", "New York", " New York ", {"strict": True}, 1.0),
    ("exact_match", "New York", "  ", {}, None),
    ("token_f1", "the quick fox", "quick fox", {}, 0.8),
    ("token_f1", "the the cat", "the cat sat", {}, 2 / 3),
    ("token_f1", "猫が好き", "猫が嫌い", {}, 0.5),
    ("token_f1", "!!", "!!", {}, 1.0),
    ("token_f1", "a", "", {}, None),
    ("rouge_l", "the cat is on the mat", "the cat sat on the mat", {}, 5 / 6),
    ("rouge_l", "a b c d", "d c b a", {}, 0.25),
    ("rouge_l", "größe zählt", "Größe zählt", {}, 1.0),
    ("rouge_l", "running fast", "runs fast", {}, 0.5),
    ("rouge_l", "running fast", "runs fast", {"stemmer": True}, 1.0),
    ("chrf", "the cat", "the cat", {}, 1.0),
    ("chrf", "abc", "xyz", {}, 0.0),
    ("json_fields", '{"a": 1, "b": "X"}', '{"b": "x", "a": 1}', {}, 1.0),
    ("json_fields", '{"a": 1, "b": "X"}', '{"b": "x"}', {}, 2 / 3),
    ("json_fields", '{"a": 1, "b": "X"}', '{"b": "x"}', {"strict": True}, 0.0),
    ("json_fields", '{"a": {"b": [1, 2]}}', 'Sure:\n```json\n{"a": {"b": [2, 1]}}\n```', {}, 1.0),
    ("json_fields", "{}", "{}", {}, 1.0),
    ("json_fields", '{"a": 1}', "{}", {}, 0.0),
    ("json_fields", '{"a": 1}', '{"a": 1', {}, None),
    ("json_fields", '{"a": 1}', "no idea", {}, None),
    ("numeric", "42", "6 times 7 is 42.", {}, 1.0),
    ("numeric", "1,234.5", "It is $1234.50", {}, 1.0),
    ("numeric", "-3", "−3", {}, 1.0),
    ("numeric", "4", "3-4", {}, 1.0),
    ("numeric", "3", "1,2,3", {}, 1.0),
    ("numeric", "10", "9.6", {}, 0.0),
    ("numeric", "10", "9.6", {"tolerance": 0.5}, 1.0),
    ("numeric", "200", "190", {"relative": 0.1}, 1.0),
    ("numeric", "0.5", ".5", {}, 1.0),
    ("numeric", "1000", "1e3", {}, 1.0),
    ("numeric", "10", "ten", {}, None),
]


@pytest.mark.parametrize(("name", "target", "text", "options", "wanted"), CASES)
def test_value(name, target, text, options, wanted):
    assert score(name, target, text, **options) == (None if wanted is None else pytest.approx(wanted))


def test_chrf_agrees_with_sacrebleu_and_rouge_with_its_default_tokenizer():
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import sentence_chrf

    target, text = "The delivery is late, please check order 77.", "Please check: delivery of order 77 is late!"
    assert score("chrf", target, text) == pytest.approx(sentence_chrf(text, [target]).score / 100)
    assert score("rouge_l", target, text) == RougeScorer(["rougeL"]).score(target, text)["rougeL"].fmeasure


def test_aggregates():
    assert callable(metrics.load(MetricSpec("macro_f1")).aggregate)
    assert metrics.load(MetricSpec("macro_f1")).closed
    assert metrics.load(MetricSpec("chrf")).aggregate == "mean"


FUNCTIONS = """
from dataclasses import dataclass

@dataclass
class WithFeedback:
    score: float
    feedback: str

def two(prediction, target): return prediction == target
def optional(prediction, target, weight=0.5): return weight
def three(prediction, target, example): return example["text"] == "a row" and example["target"] == target
def maybe(prediction, target, example=None): return example is not None and example["text"] == "a row"
def dspy(gold, pred, trace=None): return gold.answer == pred.answer and gold.text == "a row" and gold["text"] == "a row"
def gepa(gold, pred, trace=None, pred_name=None, pred_trace=None): return WithFeedback(0.25, "close")
def get_assert(output, context): return {"pass": True, "score": 0.75, "reason": context["vars"]["text"]}
def passes(output, context): return {"pass": output == "x"}
def raises(a, b): raise KeyError("gone")
def outside(a, b): return 7
def nan(a, b): return float("nan")
def words(a, b): return "good"
def nothing(a, b): return None
"""


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("two", Score(1.0)),
        ("optional", Score(0.5)),
        ("three", Score(1.0)),
        ("maybe", Score(1.0)),
        ("dspy", Score(1.0)),
        ("gepa", Score(0.25, "close")),
        ("get_assert", Score(0.75, "a row")),
        ("passes", Score(1.0)),
        ("raises", Score(None, "the metric function raised KeyError: 'gone'")),
        ("outside", Score(None, "the metric function gave 7, which is not within 0..1")),
        ("nan", Score(None, "the metric function gave nan, which is not within 0..1")),
        ("words", Score(None, "the metric function gave no number but 'good'")),
        ("nothing", Score(None, "the metric function gave no number but None")),
    ],
)
def test_python_function(name, wanted, tmp_path):
    (tmp_path / "m.py").write_text(FUNCTIONS)
    metric = metrics.load(MetricSpec("python_function", {"function": f"{tmp_path}/m.py:{name}"}))
    assert metric(example("x"), "x") == wanted


ODD_TEXTS = [
    "",
    " ",
    "x",
    "billing",
    "{",
    '{"a": 1}',
    "1e999",
    "∞",
    "\ud800",
    "a" * 5000,
    "\x00",
    "[[[[",
    "٣",
    '{"a": NaN}',
]


@pytest.fixture(params=metrics.names())
def metric(request, tmp_path):
    (tmp_path / "m.py").write_text("def score(prediction, target): return prediction == target")
    options = {"function": f"{tmp_path}/m.py:score"} if request.param == "python_function" else {}
    return metrics.load(MetricSpec(request.param, options))


def test_contract(metric):
    assert metric.name in metrics.names()
    assert metric.aggregate == "mean" or callable(metric.aggregate)
    assert metric.lowest < 1
    assert isinstance(metric.closed, bool)
    for target in ("billing", '{"a": 1}', "42"):
        own = metric(example(target), target)
        assert own.value in (None, 1.0)
        assert own.value == 1.0 or own.why
    for text in ODD_TEXTS:
        found = metric(example("billing"), text)
        assert found.value is None or (0 <= found.value <= 1 and not math.isnan(found.value))
        assert found.value is not None or found.why
        assert metric.normal(metric.normal(text)) == metric.normal(text)


def test_every_option_has_help():
    for name in metrics.names():
        assert all(metrics.options(name).values()), name


def test_names_are_the_files():
    ours = "accuracy chrf exact_match json_fields macro_f1 numeric python_function rouge_l token_f1"
    assert set(ours.split()) <= set(metrics.names())


def test_unknown():
    with pytest.raises(OptionError, match="Did you mean 'macro_f1'"):
        metrics.load(MetricSpec("macrof1"))
    with pytest.raises(OptionError, match="no options"):
        metrics.load(MetricSpec("token_f1", {"x": 1}))
    with pytest.raises(OptionError, match="'function': is missing"):
        metrics.load(MetricSpec("python_function"))
