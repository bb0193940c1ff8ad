"""What targets are: labels, several a row, numbers, objects, text, places in a list; or a question to the user."""

import io
import json

import pytest
from files_kit import NAMES, ROWS, TEAMS, examine, examples, jsonl, told

from whichway import tasks
from whichway.cli.verbs.predict import standard_input
from whichway.errors import UserError
from whichway.nouns import Example, MetricSpec
from whichway.tasks import memory, metrics

MANY = [f"the {w} {w[::-1]} {v} case {n * k * 97}" for n, w in enumerate(NAMES) for k, v in enumerate(NAMES)]


def rows(targets, column="label"):
    return jsonl([{"text": t, column: y} for t, y in zip(MANY, targets, strict=False)])


def cycle(labels, count=900):
    return [labels[n % len(labels)] for n in range(count)]


LONG = "please escalate this to the second line of support as soon as possible, and tell the customer"
CASES = {
    "150 intents": (cycle([f"intent_{n}" for n in range(150)]), "label", "accuracy", 150),
    "codes": (cycle([str(1000 + 17 * n) for n in range(25)]), "label", "accuracy", 25),
    "codes with zeros": (cycle([f"{n:03d}" for n in range(0, 80, 3)]), "group of goods", "accuracy", 27),
    "diagnoses": (cycle([f"E{n // 10}.{n % 10}" for n in range(120)]), "label", "accuracy", 120),
    "one long label": (cycle(["billing", "sales", LONG]), "label", "accuracy", 3),
    "truth values": (cycle(["True", "False"]), "label", "accuracy", 2),
    "signs": (cycle(["-1", "0", "1"]), "label", "accuracy", 3),
    "ages": (cycle([str(20 + n) for n in range(40)]), "age", "numeric", 0),
    "prices": ([f"{n * 7}.{n % 100:02d}" for n in range(900)], "price", "numeric", 0),
    "answers": ([f"{w} {v}" for w in NAMES for v in NAMES], "answer", "token_f1", 0),
    "cities with a comma": (cycle(["Austin, TX", "Boston, MA", "Dallas, TX"]), "label", "accuracy", 3),
    "dates": ([f"{n % 12 + 1:02d}/{n % 11 + 1:02d}/20{n % 40:02d}" for n in range(900)], "answer", "exact_match", 0),
    "paths": (cycle(["billing/refund", "billing/dispute", "network/vpn"]), "label", "accuracy", 3),
}


@pytest.mark.parametrize("case", CASES)
def test_type_of_targets(case, tmp_path):
    targets, column, metric, labels = CASES[case]
    found = examine(tmp_path, "d.jsonl", rows(targets, column), input="text", target=column)
    assert (found.task.metric.name, len(found.task.labels)) == (metric, labels)
    assert {e.target for e in examples(found)} <= set(targets)


QUESTIONS = {
    "numbers or codes": (cycle([str(1000 + 17 * n) for n in range(25)]), "thing", ["label", "number"]),
    "two rows an intent": ([f"intent_{n // 2}" for n in range(90)], "label", ["label", "text"]),
    "rare codes": ([f"{n // 2:04d}" for n in range(100)], "label", ["label", "text", "number"]),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_what_is_not_clear_is_asked(case, tmp_path):
    targets, column, types = QUESTIONS[case]
    with pytest.raises(UserError, match="different answers") as caught:
        examine(tmp_path, "d.jsonl", rows(targets, column), input="text", target=column)
    for kind in types:
        assert f"--target-type {kind}" in str(caught.value)
        found = examine(tmp_path, "d.jsonl", rows(targets, column), input="text", target=column, target_type=kind)
        assert found.task.metric.name == {"label": "accuracy", "number": "numeric", "text": "token_f1"}[kind]
        assert bool(found.task.labels) is (kind == "label")


SETS = [sorted({TEAMS[n % 3], *(["urgent"] if n % 2 else [])}, reverse=n % 4 == 1) for n in range(60)]


@pytest.mark.parametrize(
    "written",
    [
        lambda s: ";".join(s), lambda s: "|".join(s), lambda s: ", ".join(s), lambda s: " / ".join(s),
        lambda s: s, lambda s: str(s), json.dumps,
    ],
)  # fmt: skip
def test_several_labels_a_row(written, tmp_path):
    content = jsonl([{"text": t, "labels": written(s)} for (t, _), s in zip(ROWS, SETS, strict=True)])
    found = examine(tmp_path, "d.jsonl", content)
    assert found.task.metric == MetricSpec("multi_label", {"labels": sorted((*TEAMS, "urgent"))})
    assert found.task.labels == ()
    assert [e.target for e in examples(found)] == [", ".join(sorted(s)) for s in SETS]
    assert "several labels a row" in told(found)
    one = examine(tmp_path, "d.jsonl", content, target_type="label")
    assert one.task.metric.name == "accuracy"


def test_lists_of_one_label_empty_lists_and_vectors(tmp_path):
    single = examine(tmp_path, "a.jsonl", jsonl([{"text": t, "labels": [y]} for t, y in ROWS]))
    assert single.task.labels == tuple(sorted(TEAMS))
    some = examine(tmp_path, "b.jsonl", jsonl([{"text": t, "labels": [y] * (n % 2)} for n, (t, y) in enumerate(ROWS)]))
    assert [e.target for e in examples(some)][:2] == ["none", "technical"]
    assert "30 rows have no label" in told(some)
    mixed = [y if n % 2 else [y, "late"] for n, (_, y) in enumerate(ROWS)]
    dicts = [{"text": text, "labels": one} for (text, _), one in zip(ROWS, mixed, strict=True)]
    beside = examine(tmp_path, "d.jsonl", jsonl(dicts))
    assert [e.target for e in examples(beside)][:2] == ["billing, late", "technical"]
    with pytest.raises(UserError, match="vectors of zeros and ones"):
        examine(tmp_path, "c.jsonl", jsonl([{"text": t, "labels": [n % 2, 1, 0]} for n, (t, _) in enumerate(ROWS)]))


def test_what_may_be_several_labels_is_told(tmp_path):
    targets = [f"{y}, {('late', 'open')[n % 2]}" for n, (_, y) in enumerate(ROWS)]
    found = examine(tmp_path, "d.jsonl", rows(targets))
    assert found.task.metric.name == "accuracy"
    assert "--target-type multi_label" in told(found)
    named = examine(tmp_path, "d.jsonl", rows(targets), labels=["late", "open", *TEAMS])
    assert named.task.metric.name == "multi_label"


def test_multi_label_metric():
    metric = metrics.load(MetricSpec("multi_label", {"labels": ["billing", "urgent", "sales"]}))
    row = Example({"text": "x"}, "billing, urgent")
    scores = {
        "urgent, billing": 1.0, "Billing; URGENT.": 1.0, "- billing\n- urgent": 1.0, '["billing", "urgent"]': 1.0,
        "billing": 2 / 3, "billing, urgent, sales": 4 / 5, "sales": 0.0, "none": 0.0, "billing, urgent, other": 4 / 5,
    }  # fmt: skip
    assert {text: metric(row, text).value for text in scores} == pytest.approx(scores)
    assert metric(row, "").value is metric(row, "I do not know").value is None
    assert metric(Example({"text": "x"}, "none"), "none").value == 1.0
    assert metric.normal("urgent|billing") == metric.normal("Billing, urgent")
    exact = metrics.load(MetricSpec("multi_label", {"labels": ["billing", "urgent"], "exact": True}))
    assert (exact(row, "billing").value, exact(row, "urgent,billing").value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("numbers", "first"),
    [
        ([f"{n * 7},{n % 10}" for n in range(60)], "0.0"),
        ([f"1.{n:03d},{n % 10}0" for n in range(60)], "1000.00"),
        ([f"{n + 1},{n % 10}00" for n in range(60)], "1,000"),  # thousands
        ([f"{n * 7}.{n % 10}" for n in range(60)], "0.0"),
    ],
)
def test_decimal_commas(numbers, first, tmp_path):
    found = examine(tmp_path, "d.jsonl", rows(numbers, "price"), input="text", target="price")
    assert found.task.metric.name == "numeric"
    assert examples(found)[0].target == first
    assert ("decimal comma" in told(found)) is (first != numbers[0])


def test_objects_in_code_fences(tmp_path):
    fenced = [f'```json\n{{"team": "{y}"}}\n```' for _, y in ROWS]
    found = examine(tmp_path, "d.jsonl", rows(fenced, "answer"))
    assert found.task.metric.name == "json_fields"
    assert examples(found)[0].target == '{"team": "billing"}'
    assert "60 targets stand in code fences" in told(found)


def test_white_space_of_free_text_is_kept_and_that_of_labels_is_not(tmp_path):
    code = [f"    total = a + {n}\n    return total\n" for n in range(60)]
    found = examine(tmp_path, "d.jsonl", rows(code, "completion"))
    assert [e.target for e in examples(found)] == code
    assert "white space around 60 targets is kept" in told(found)
    labels = examine(tmp_path, "d.jsonl", rows([f" {y}\n" for _, y in ROWS], "completion"))
    assert labels.task.labels == tuple(sorted(TEAMS))


def quiz(n, **more):
    return {"question": ROWS[n][0], **more}


CHOICES = {
    "own lists": ([quiz(n, choices=[f"a{n}", f"b{n}", f"c{n}"], answer=n % 3) for n in range(60)], "ABC", "A. a0\n"),
    "from one": ([quiz(n, options=[f"a{n}", f"b{n}", f"c{n}"], answer=n % 3 + 1) for n in range(60)], "ABC", "A. a0\n"),
    "letters": ([quiz(n, options=[f"a{n}", f"b{n}"], answer="AB"[n % 2]) for n in range(60)], "AB", "A. a0\n"),
    "names of their own": (
        [quiz(n, choices={"text": [f"x{n}", "y"], "label": ["1", "2"]}, answerKey=f"{n % 2 + 1}") for n in range(60)],
        "AB", "A. x0\n",
    ),
    "columns": (
        [quiz(n, opa=f"a{n}", opb=f"b{n}", opc=f"c{n}", opd=f"d{n}", cop=n % 4) for n in range(60)], "ABCD", "A. a0\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHOICES)
def test_targets_that_are_places_in_a_list(case, tmp_path):
    data, letters, start = CHOICES[case]
    found = examine(tmp_path, "d.jsonl", jsonl(data))
    assert found.task.labels == tuple(letters)
    assert examples(found)[0].input["lettered_choices"].startswith(start)
    new = tasks.read_inputs(tmp_path / "d.jsonl", ["question", "lettered_choices"])
    assert [e.input for e in new] == [e.input for e in examples(found)]  # new rows are laid out alike
    rows = [{key: value for key, value in row.items() if key not in ("answer", "answerKey", "cop")} for row in data]
    assert [e.input for e in memory.examples_of(rows, ["question", "lettered_choices"])] == [e.input for e in new]
    piped = standard_input(io.StringIO(jsonl(rows)), ["question", "lettered_choices"])
    assert [e.input for e in piped] == [e.input for e in new]
    with pytest.raises(UserError, match="need choices"):
        memory.examples_of([{"question": "Which?"}], ["question", "lettered_choices"])
    assert [e.target for e in examples(found)] == [letters[n % len(letters)] for n in range(60)]
    assert "letters are the labels" in told(found)


def test_choices_that_are_the_same_in_each_row_are_the_labels(tmp_path):
    data = [quiz(n, choices=list(TEAMS), answer=n % 3) for n in range(60)]
    found = examine(tmp_path, "d.jsonl", jsonl(data))
    assert found.task.labels == tuple(sorted(TEAMS))
    assert examples(found)[0].target == "billing"


def test_choices_that_are_no_input_are_refused_by_name(tmp_path):
    data = jsonl([quiz(n, choices=[f"a{n}", f"b{n}"], answer=n % 2) for n in range(60)])
    with pytest.raises(UserError, match=r"place in 'choices', which is no input.*--input choices"):
        examine(tmp_path, "d.jsonl", data, input="question", target="answer")
    both = examine(tmp_path, "d.jsonl", data, input=("question", "choices"), target="answer")
    assert both.task.labels == ("A", "B")


def test_lists_beside_labels_are_no_choices(tmp_path):
    found = examine(tmp_path, "d.jsonl", jsonl([{"text": t, "tags": ["a", "b"], "label": n % 2} for n, (t, _) in
                                                enumerate(ROWS)]))  # fmt: skip
    assert found.task.labels == ("0", "1")


def test_target_type_is_checked():
    with pytest.raises(UserError, match="target_type"):
        tasks.from_flags(data="d.csv", target_type="labels")
