"""promptfoo configurations as tasks: asserts, tests files, prompts, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from whichway.app.prompt_files import prompts_of
from whichway.errors import DataError
from whichway.nouns import Example
from whichway.tasks import from_flags, load
from whichway.tasks.assertions import assertion, judge, of_word
from whichway.tasks.promptfoo import cases, is_config, table, wordings

TEAMS = ("billing", "delivery", "account")
WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")


def config(folder: Path, **keys: Any) -> Path:
    """A configuration of 36 tests with one `equals` each."""
    tests = [
        {"vars": {"text": f"{one} {two} about {team}"}, "assert": [{"type": "equals", "value": team}]}
        for team in TEAMS
        for one, two in zip(WORDS, WORDS[3:] + WORDS[:3], strict=True)
    ]
    path = folder / "promptfooconfig.yaml"
    path.write_text(yaml.safe_dump({"prompts": ["Which team?\n\n{{text}}"], "tests": tests, **keys}, sort_keys=False))
    return path


def test_equals_becomes_a_closed_task(tmp_path: Path) -> None:
    task = load(from_flags(config(tmp_path, description="Sort mail.")))
    assert set(task.labels) == set(TEAMS)
    assert task.metric.name == "accuracy"
    assert task.ask == "Sort mail."
    assert len(task.train) + len(task.dev) + len(task.test) == 36
    assert dict(task.train[0].input).keys() == {"text"}
    assert task.train[0].origin.startswith("promptfooconfig.yaml:")


def test_other_asserts_judge_answers(tmp_path: Path) -> None:
    held = [{"type": "contains", "value": "{{topic}}"}]
    tests = [{"vars": {"topic": f"{a} {b}"}, "assert": held} for a in WORDS for b in WORDS[:4]]
    default = {"assert": [{"type": "not-icontains", "value": "sorry"}]}
    path = config(tmp_path, tests=tests, prompts=["Write about {{topic}}."], defaultTest=default)
    task = load(from_flags(path))
    assert task.metric.name == "assertions"
    assert task.labels == ()
    assert dict(task.ways) == {"prompt_plain": {}}
    kinds = {tuple(one["type"] for one in json.loads(e.target)) for e in task.test}
    assert kinds == {("not-icontains", "contains")}


JUDGED = [
    ({"type": "equals", "value": "yes"}, "yes", "no"),
    ({"type": "equals", "value": {"a": 1}}, '{"a": 1}', '{"a": 2}'),
    ({"type": "contains", "value": "Lamp"}, "a Lamp", "a lamp"),
    ({"type": "icontains", "value": "Lamp"}, "a lamp", "a chair"),
    ({"type": "starts-with", "value": "Dear"}, "Dear you", "Oh Dear"),
    ({"type": "regex", "value": r"\d{3}"}, "call 911", "call 91"),
    ({"type": "contains-any", "value": ["a1", "b2"]}, "b2!", "c3"),
    ({"type": "contains-all", "value": "a1, b2"}, "b2 a1", "a1"),
    ({"type": "icontains-any", "value": ["A1"]}, "a1", "b"),
    ({"type": "icontains-all", "value": ["A1", "b"]}, "a1 B", "a1"),
    ({"type": "is-json"}, '{"a": 1}', "a: 1"),
    ({"type": "is-json", "value": {"type": "object", "required": ["a"]}}, '{"a": 1}', '{"b": 1}'),
    ({"type": "contains-json"}, 'so: {"a": 1}.', "none"),
    ({"type": "not-contains", "value": "lamp"}, "chair", "lamp"),
]


@pytest.mark.parametrize(("given", "right", "wrong"), JUDGED, ids=[f"{j[0]['type']}-{n}" for n, j in enumerate(JUDGED)])
def test_assert_types(given: dict[str, Any], right: str, wrong: str) -> None:
    facts = [assertion(given, {}, Path(), "here").facts()]
    row = Example({"text": "x"}, "")
    assert judge(facts, row, right).value == 1
    assert judge(facts, row, wrong).value == 0
    assert given["type"] in judge(facts, row, wrong).why


def test_weights_and_thresholds() -> None:
    row = Example({"text": "x"}, "")
    given = [{"type": "contains", "value": "a", "weight": 3}, {"type": "contains", "value": "b"}]
    assert judge([assertion(g, {}, Path(), "").facts() for g in given], row, "a").value == 0.75


def test_python_asserts_take_get_assert(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text(
        "def get_assert(output, context):\n"
        "    return {'pass': True, 'score': 0.5, 'reason': context['vars']['text']}\n"
        "def bare(output, context): return output == context['vars']['text']\n"
    )
    row = Example({"text": "hi"}, "")
    half = assertion({"type": "python", "value": "file://checks.py"}, {}, tmp_path, "here")
    assert judge([half.facts()], row, "x").value == 0.5
    named = assertion({"type": "python", "value": "file://checks.py:bare"}, {}, tmp_path, "here")
    assert judge([named.facts()], row, "hi").value == 1
    strict = assertion({"type": "python", "value": "file://checks.py", "threshold": 0.6}, {}, tmp_path, "here")
    assert judge([strict.facts()], row, "x").value == 0
    assert half.digest
    with pytest.raises(DataError, match="not run"):
        assertion({"type": "python", "value": "len(output) > 3"}, {}, tmp_path, "here")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"type": "javascript", "value": "output.length"}, "JavaScript"),
        ({"type": "llm-rubric", "value": "is polite"}, "judge"),
        ({"type": "similar", "value": "x"}, "judge"),
        ({"type": "contain", "value": "x"}, "not known here"),
        ({"type": "contains"}, "needs a value"),
        ({"type": "regex", "value": "("}, "not valid"),
        ({"type": "python", "value": "file://nowhere.py"}, "no file"),
        ("contains", "needs a type"),
    ],
)
def test_refused_asserts_name_the_place(given: Any, message: str, tmp_path: Path) -> None:
    path = config(tmp_path, tests=[{"vars": {"text": "unlike any other"}, "assert": [given]}])
    with pytest.raises(DataError, match=message) as told:
        cases(path)
    assert "promptfooconfig.yaml:" in str(told.value)


def test_one_rubric_for_all_tests_and_a_local_grader_become_a_judge(tmp_path: Path) -> None:
    tests = [{"vars": {"topic": f"{a} and {b}"}} for a in WORDS for b in WORDS[:2]]
    graded = {"assert": [{"type": "llm-rubric", "value": "Is it polite?", "provider": "whichway:grader"}]}
    path = config(tmp_path, tests=tests, prompts=["Write about {{topic}}."], defaultTest=graded)
    task = load(from_flags(path))
    assert task.judge is not None
    assert (task.judge.model, task.judge.rubric) == ("grader", "Is it polite?")
    assert task.train == ()
    assert {e.target for e in task.test} == {""}
    hosted = {"assert": [{**graded["assert"][0], "provider": "openai:x"}]}
    with pytest.raises(DataError, match="judge"):
        cases(config(tmp_path, tests=tests, defaultTest=hosted))


def test_csv_tests(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('text,__expected\nhello,billing\nbye,contains: x y\n"a, b",is-json\n')
    found = cases(config(tmp_path, tests="file://t.csv"))
    assert [[one.facts() for one in case.asserts] for case in found] == [
        [{"type": "equals", "value": "billing"}],
        [{"type": "contains", "value": "x y"}],
        [{"type": "is-json"}],
    ]
    assert of_word("note: this") == {"type": "equals", "value": "note: this"}
    assert of_word("fn:output")["type"] == "javascript"


def test_lists_of_vars_are_multiplied_out_and_defaults_apply(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("from a file\n")
    tests = [{"vars": {"text": ["a", "b"], "more": "file://t.txt"}, "assert": [{"type": "equals", "value": "x"}]}]
    found = cases(config(tmp_path, tests=tests, defaultTest={"vars": {"tone": "dry"}}))
    assert [dict(case.values) for case in found] == [
        {"tone": "dry", "text": letter, "more": "from a file"} for letter in "ab"
    ]
    assert table(tmp_path / "promptfooconfig.yaml").columns == ("text", "expected")


def test_prompts_from_files_and_chat(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One {{text}}\n---\nTwo {{text}}\n")
    turns = [{"role": "system", "content": "Sort."}, {"role": "user", "content": "{{text}}"}]
    (tmp_path / "b.json").write_text(json.dumps(turns))
    providers = [{"id": "openai:chat:x", "config": {"temperature": 0.3, "max_tokens": 9}}]
    given = ["file://a.txt", "b.json", {"id": "file://a.txt", "label": "again"}]
    path = config(tmp_path, prompts=given, providers=providers)
    found = wordings(path)
    assert [one.text.strip() for one in found[:2]] == ["One {{text}}", "Two {{text}}"]
    assert len(found) == 5
    assert found[2].chat
    assert found[0].settings == {"temperature": 0.3, "max_tokens": 9}
    assert prompts_of(path)[2].objective == "Sort."
    assert prompts_of(path)[0].row == "One {{text}}"


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (["{% if text %}x{% endif %}"], "template logic"),
        (["{{ text | upper }}"], "filters are not run"),
        (["file://nowhere.txt"], "missing"),
        (["file://p.js"], "not run"),
        ([], "no prompts"),
        ([3], "file://PATH"),
    ],
)
def test_refused_prompts(prompts: list[Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "p.js").write_text("module.exports = 1")
    with pytest.raises(DataError, match=message):
        wordings(config(tmp_path, prompts=prompts))


def test_what_is_a_configuration(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("prompts: [a]\nproviders: [b]\n")
    assert is_config(other)
    other.write_text("data: tickets.csv\nprompt: p.txt\n")
    assert not is_config(other)
