"""An ask, a handful of inputs and checks make a task; what few inputs cannot carry is said."""

import json

import pytest

from whichway import tasks
from whichway.errors import DataError, OptionError, UserError
from whichway.nouns import Example, MetricSpec
from whichway.tasks.metrics import load
from whichway.tasks.open_ended import DEV_FROM

ASK = "Write a letter."
CHECKS = "checks: {words: {min: 3}}\n"


def written(folder, text):
    (folder / "task.yaml").write_text(text, encoding="utf-8")
    return tasks.examine(tasks.read_spec(folder))


def inline(folder, inputs, more=CHECKS):
    return written(folder, f"ask: {ASK}\ninputs: {json.dumps(inputs)}\n{more}")


def check(**options):
    return load(MetricSpec("checks", options))


def passed(text, example=None, **options):
    return check(**options)(example or Example({"text": "x"}, ""), text).value


# --- the task


def test_inputs_in_the_task_file_are_enough(tmp_path):
    found = inline(tmp_path, ["a dog", "a cat", "a newt"])
    task = found.task
    assert task.reference_free
    assert task.train_dev_view().reference_free
    assert (task.train, task.dev, len(task.test)) == ((), (), 3)
    assert [e.text for e in task.test] == ["a dog", "a cat", "a newt"]
    assert [e.origin for e in task.test] == ["inputs:1", "inputs:2", "inputs:3"]
    assert task.metric == task.checks == MetricSpec("checks", {"words": {"min": 3}})
    assert any("All 3 inputs are test" in warning for warning in found.findings.warnings)
    assert any("3 test inputs" in warning for warning in found.findings.warnings)
    assert "target" not in found.findings.lengths


def test_inputs_may_have_fields_and_checks_may_name_them(tmp_path):
    rows = [{"pet": name, "kind": kind} for name, kind in (("Rex", "dog"), ("Mia", "cat"), ("Bo", "rabbit"))]
    task = inline(tmp_path, rows, 'checks: {must_contain: "{pet}"}\n').task
    metric = load(task.metric)
    assert [metric(e, "Yours, REX").value for e in task.test] == [1.0, 0.0, 0.0]
    with pytest.raises(OptionError, match=r"\{pat\} is no input column\. Did you mean 'pet'"):
        inline(tmp_path, rows, 'checks: {must_contain: "{pat}"}\n')


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_data_file_without_targets(tmp_path, name):
    names = [f"pet {word}" for word in ("one", "two", "three", "four")]
    lines = ["pet,team", *(f"{n},blue" for n in names)] if name.endswith("csv") else [
        json.dumps({"pet": n, "team": "blue"}) for n in names
    ]  # fmt: skip
    (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    found = written(tmp_path, f"ask: {ASK}\ndata: {name}\n{CHECKS}")
    assert [e.text for e in found.task.test] == names
    assert found.task.name == "rows"
    assert any("team left out: if it holds wanted answers, say target: team" in n for n in found.findings.notes)


def test_from_a_dozen_inputs_on_a_third_chooses_and_no_input_does_both(tmp_path):
    words = [f"thing {n * 7919} {'abcdefghijklmnop'[n % 16] * 5}" for n in range(30)]
    task = inline(tmp_path, words).task
    assert (len(task.train), len(task.dev), len(task.test)) == (0, 10, 20)
    assert not {e.id for e in task.dev} & {e.id for e in task.test}
    again = inline(tmp_path, words[::-1]).task
    assert {e.id for e in again.dev} == {e.id for e in task.dev}
    assert not inline(tmp_path, words[: DEV_FROM - 1]).task.dev


def test_groups_stay_together_and_given_splits_are_kept(tmp_path):
    rows = [{"text": f"t{n * 7919}", "who": f"w{n // 3}", "part": "dev" if n % 2 else "test"} for n in range(24)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    base = f"ask: {ASK}\ndata: rows.jsonl\ninput: text\n{CHECKS}"
    task = written(tmp_path, base + "group: who\n").task
    assert not {e.group for e in task.dev} & {e.group for e in task.test}
    given = written(tmp_path, base + "split: part\n").task
    assert (len(given.dev), len(given.test)) == (12, 12)
    assert all(int(e.text[1:]) // 7919 % 2 for e in given.dev)


def test_repeated_inputs_count_once_and_are_told(tmp_path):
    found = inline(tmp_path, ["a dog", "a cat", "a dog", "a newt"])
    assert len(found.task.test) == 3
    assert "1 inputs stand twice and count once." in found.findings.warnings


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"inputs: [a, b, c]\n{CHECKS}", "ask: say what is asked"),
        ("ask: x\ninputs: [a, b, c]\n", "nothing to measure answers by: add checks:"),
        (f"ask: x\ninputs: [a, b]\n{CHECKS}", "2 different inputs. At least 3"),
        (f"ask: x\ninputs: [a, a, b, b]\n{CHECKS}", "2 different inputs"),
        (f"ask: x\ninputs: [a, '  ', b, c]\n{CHECKS}", "inputs:2: the input .input. is empty"),
        (f"ask: x\ninputs: [{{p: 1}}, {{q: 2}}, {{p: 3}}]\n{CHECKS}", "number 2 has q, the first has p"),
        (f"ask: x\ninputs: [a, b, c]\ndata: rows.csv\n{CHECKS}", "Leave one of them out"),
        (f"ask: x\ninputs: [a, b, c]\nmetric: chrf\n{CHECKS}", "chrf compares with wanted answers"),
        ("ask: x\ninputs: [a, b, c]\nchecks: {wrods: {min: 1}}\n", r"yaml:3: checks: unknown option 'wrods'. Did"),
        ("ask: x\ninputs: [a, b, c]\nchecks: {words: {min: 9, max: 2}}\n", "min at most max"),
        ("ask: x\ninputs: [a, b, c]\nchecks: {words: {least: 9}}\n", "option 'words"),
        ("ask: x\ninputs: [a, b, c]\nchecks: {regex: '('}\n", r"regex '\('"),
        ("ask: x\ninputs: [a, b, c]\nchecks: {format: poem}\n", "option 'format'"),
        ("ask: x\ninputs: [a, b, c]\njudge: {model: fake}\n", "judge.rubric is missing"),
        ("ask: x\ninputs: [a, b, c]\njudge: {model: m, rubric: nice, level: [a]}\n", "unknown key 'level' in judge"),
        ("ask: x\ninputs: [a, b, c]\nchecks: {function: 'no.py:f'}\n", "there is no file"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, text, error):
    with pytest.raises(UserError, match=error):
        written(tmp_path, text)


def test_data_without_targets_and_checks_point_to_checks(tmp_path):
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"a": n, "b": n, "c": n}) for n in range(20)))
    with pytest.raises(DataError, match=r"what a good one must fulfil \(checks:\)"):
        written(tmp_path, "ask: x\ndata: rows.jsonl\n")


def test_a_named_target_keeps_its_metric_and_checks_stand_beside(tmp_path):
    rows = [{"text": f"text {n * 7919} {'xyz'[n % 3]}", "reply": f"a reply {n} of its own {n * 31}"} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = written(tmp_path, f"ask: x\ndata: rows.jsonl\ntarget: reply\nmetric: chrf\n{CHECKS}").task
    assert not task.reference_free
    assert task.train
    assert (task.metric.name, task.checks and task.checks.name) == ("chrf", "checks")


# --- the checks


def test_each_check_counts_the_same_and_what_failed_is_named():
    metric = check(words={"min": 2, "max": 3}, must_contain=("rex", "bone"), format="sentences")
    found = metric(Example({"text": "x"}, ""), "Rex waits here still")
    assert found.value == pytest.approx(1 / 4)
    assert found.why == "failed: words 2–3 (4); contains “bone”; is sentences"
    assert metric.each(Example({"text": "x"}, ""), "Rex waits.") == {
        "words 2–3": 1.0, "contains “rex”": 1.0, "contains “bone”": 0.0, "is sentences": 1.0,
    }  # fmt: skip


def test_an_empty_answer_is_unparsed_and_no_checks_ask_only_for_an_answer():
    assert check(words={"min": 1})(Example({"text": "x"}, ""), "  ").value is None
    assert set(check(words={"min": 1}).each(Example({"text": "x"}, ""), "").values()) == {0.0}
    assert passed("anything") == 1.0


@pytest.mark.parametrize(
    ("options", "good", "bad"),
    [
        ({"words": {"min": 3}}, "one two three", "one two"),
        ({"words": {"max": 2}}, "one two", "one two three"),
        ({"characters": {"max": 5}}, "12345", "123456"),
        ({"sentences": {"min": 2, "max": 2}}, "One. And two!", "One. Two. Three."),
        ({"sentences": {"max": 1}}, "No stop at the end", "One. Two"),
        ({"must_contain": "Rex"}, "dear REX", "dear Mia"),
        ({"must_contain": "two  words"}, "the two\nwords", "two other words"),
        ({"must_not_contain": "sorry"}, "fine", "Sorry, no"),
        ({"regex": r"^\d+$"}, "a\n42\nb", "a 42"),
        ({"format": "json"}, '{"a": 1}', 'Here: {"a": 1}'),
        ({"format": "bullets"}, "- one\n* two\n3. three", "Here:\n- one"),
        ({"format": "sentences"}, "I wait. Come soon!", "- one\n- two"),
        ({"format": "sentences"}, "I wait.", "I wait and"),
    ],
)
def test_a_check_passes_and_fails(options, good, bad):
    assert (passed(good, **options), passed(bad, **options)) == (1.0, 0.0)


def test_a_function_of_the_users_counts_as_a_check(tmp_path):
    (tmp_path / "own.py").write_text("def half(prediction, target):\n    return 0.5\n")
    task = inline(tmp_path, ["a dog", "a cat", "a newt"], "checks: {words: {min: 1}, function: 'own.py:half'}\n").task
    assert load(task.metric)(task.test[0], "one").value == pytest.approx(0.75)
    assert task.metric.options["digest"]


def test_labels_need_no_judge(tmp_path):
    rows = [{"text": f"text {n * 7919} {'xyz'[n % 3]}", "team": "ab"[n % 2]} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(OptionError, match="judge: the answers are labels"):
        written(tmp_path, "ask: x\ndata: rows.jsonl\ntarget: team\njudge: {model: m, rubric: nice}\n")
