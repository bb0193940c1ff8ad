"""promptfoo files as people have them: variables, foreign YAML, tables, globs, scenarios, what is left out and told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from whichway.errors import DataError
from whichway.nouns import Task
from whichway.prompts.template import messages
from whichway.tasks import Examined, examine, from_flags
from whichway.tasks.metrics import load as metric_of
from whichway.tasks.promptfoo import cases, spec_values, table, wordings

WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
ANSWERS = ("lamp", "desk", "rug")


def write(folder: Path, text: str, name: str = "promptfooconfig.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def listed(tests: list[dict[str, Any]], head: str) -> str:
    return f"{head}\ntests: {json.dumps(tests, indent=1)}\n"


def many(make: Any, count: int = 36) -> list[dict[str, Any]]:
    pairs = [(f"{a} {b}", ANSWERS[(i + j) % 3]) for i, a in enumerate(WORDS) for j, b in enumerate(WORDS[:3])]
    return [make(text, answer) for text, answer in pairs[:count]]


def read(path: Path) -> Examined:
    return examine(from_flags(path))


def asked(task: Task) -> str:
    return messages(task.prompts[0], task.train[0])[-1].content


def test_a_var_that_no_prompt_names_is_no_input(tmp_path: Path) -> None:
    tests = many(lambda t, a: {"vars": {"text": t, "shop": "Ada's", "label": a}})
    head = "prompts: ['At {{shop}}: where is {{ text }}?']\ndefaultTest: {assert: [{type: equals, value: '{{label}}'}]}"
    found = read(write(tmp_path, listed(tests, head)))
    assert set(found.task.train[0].input) == {"text", "shop"}
    assert set(found.task.labels) == set(ANSWERS)
    assert asked(found.task) == f"At Ada's: where is {found.task.train[0].input['text']}?"
    assert any("no input: label" in w for w in found.findings.warnings)


def test_a_users_variable_may_be_called_expected(tmp_path: Path) -> None:
    tests = many(lambda t, a: {"vars": {"text": t, "expected": a.upper()}, "assert": [{"type": "equals", "value": a}]})
    task = read(write(tmp_path, listed(tests, "prompts: ['{{text}} was {{expected}}']"))).task
    assert dict(task.train[0].input)["expected"] == task.train[0].target.upper()
    unnamed = read(write(tmp_path, listed(tests, "prompts: ['Sort {{text}}']"))).task
    assert set(unnamed.train[0].input) == {"text"}


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("prompts: ['Where is {{txt}}?']", "no test has a var 'txt'.*Did you mean 'text'"),
        ("prompts: ['Where is it?']", "no prompt names a variable"),
        ("prompts: ['{{text | upper}}']", "filters are not run"),
        ("prompts: ['{% for x in text %}{{x}}{% endfor %}']", "template logic"),
        ("prompts: ['{{text}} {{env.KEY}}']", "environment"),
        ("prompts: ['{{text}}', 'langfuse://team/prompt']", "not fetched"),
        ("prompts: [{id: 'file://p.txt', function: x}]", "function is not read"),
        ("prompts: [file://p.py]", "not run"),
        ("prompts: ['{{text}}']\ndefaultTest: {options: {transformVars: 'x'}}", "transformVars"),
        ("prompts: ['{{text}}']\ndefaultTest: {options: {suffix: 'Be brief'}}", "suffix"),
    ],
)
def test_what_a_prompt_may_not_ask_is_named(tmp_path: Path, head: str, told: str) -> None:
    write(tmp_path, "def get(): pass\n", "p.py")
    tests = many(lambda t, a: {"vars": {"text": t}, "assert": [{"type": "equals", "value": a}]})
    with pytest.raises(DataError, match=told):
        read(write(tmp_path, listed(tests, head)))


def test_an_assert_that_names_no_var_is_refused(tmp_path: Path) -> None:
    tests = many(lambda t, a: {"vars": {"text": t, "label": a}, "assert": [{"type": "equals", "value": "{{lable}}"}]})
    with pytest.raises(DataError, match="Did you mean 'label'"):
        cases(write(tmp_path, listed(tests, "prompts: ['{{text}}']")))


def test_values_are_texts_as_they_are_written(tmp_path: Path) -> None:
    words = ["yes", "no", "on", "12:10", "010", "1.0", "2024-01-02", "true", "0x1F", "1e3", "1_000", "~x", "'007'"]
    tests = "".join(
        f"  - vars: {{text: {w}, n: {i}}}\n    assert: [{{type: equals, value: {w}, weight: 2}}]\n"
        for i, w in enumerate(words)
    )
    path = write(tmp_path, f"prompts: ['{{{{text}}}} {{{{n}}}}']\ntests:\n{tests}")
    wanted = [w.strip("'") for w in words]
    found = cases(path)
    assert [case.values["text"] for case in found] == wanted
    assert [case.asserts[0].value for case in found] == wanted
    assert {case.asserts[0].weight for case in found} == {2.0}
    assert [case.line for case in found][:2] == [3, 5]
    test = "  - vars: {a: {b: [1, true, x]}}\n    assert: [{type: is-json, value: {minimum: 3}}]"
    schema = f"prompts: ['{{{{a}}}}']\ntests:\n{test}"
    case = cases(write(tmp_path, schema))[0]
    assert case.asserts[0].value == {"minimum": 3}
    assert case.values["a"] == '{"b": [1, true, "x"]}'


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_tables_of_tests(tmp_path: Path, mark: str) -> None:
    rows = [f'"{t}{mark} or so"{mark}{a}{mark}note' for t, a in many(lambda t, a: (t, a))]  # type: ignore[arg-type]
    name = "t.tsv" if mark == "\t" else "sub/t.csv"
    write(tmp_path, "\n".join([f"text{mark}__expected{mark}__description", *rows]), name)
    found = read(write(tmp_path, f"prompts: ['Where is {{{{text}}}}?']\ntests: file://{name}\n"))
    assert set(found.task.labels) == set(ANSWERS)
    assert f"{mark} or so" in found.task.train[0].input["text"]
    assert found.task.train[0].origin.startswith("t.")
    extra = write(tmp_path, f"text{mark}__expected{mark}__suffix\na{mark}b{mark}c\n", name)
    with pytest.raises(DataError, match="__suffix"):
        cases(write(tmp_path, f"prompts: ['{{{{text}}}}']\ntests: file://{extra.relative_to(tmp_path)}\n"))


def test_globs_lists_and_files_of_vars(tmp_path: Path) -> None:
    for number in range(3):
        tests = many(lambda t, a: {"vars": {"text": t}, "assert": [{"type": "equals", "value": a}]})[number::3]
        write(tmp_path, json.dumps(tests), f"tests/part{number}.{'json' if number else 'yaml'}")
    path = write(tmp_path, "prompts: ['Where is {{text}}?']\ntests: [file://tests/*.yaml, 'tests/*.json']\n")
    assert len(cases(path)) == 36
    write(tmp_path, "one", "v/a.txt")
    write(tmp_path, "two", "v/b.txt")
    given = {"vars": {"text": "file://v/*.txt", "tone": ["dry", "warm"]}, "assert": [{"type": "equals", "value": "x"}]}
    found = cases(write(tmp_path, listed([given], "prompts: ['{{text}} {{tone}}']")))
    assert [tuple(c.values.values()) for c in found] == [
        ("one", "dry"),
        ("one", "warm"),
        ("two", "dry"),
        ("two", "warm"),
    ]
    whole = listed([given], "prompts: ['{{text}} {{tone}}']\ndefaultTest: {options: {disableVarExpansion: 'true'}}")
    assert cases(write(tmp_path, whole))[0].values["tone"] == '["dry", "warm"]'
    with pytest.raises(DataError, match=r"gone\.csv: no such file"):
        cases(write(tmp_path, "prompts: ['{{text}}']\ntests: file://gone.csv\n"))
    with pytest.raises(DataError, match="program is not run"):
        cases(write(tmp_path, "prompts: ['{{text}}']\ntests: file://make.py:rows\n", "promptfooconfig.yaml"))


def test_tests_that_cannot_be_judged_are_left_out_and_told(tmp_path: Path) -> None:
    judged = many(lambda t, a: {"vars": {"text": t}, "assert": [{"type": "equals", "value": a}]})
    bare = [{"vars": {"text": "quince"}}, {"vars": {"text": "quince again"}, "assert": []}]
    found = read(write(tmp_path, listed([*bare, *judged], "prompts: ['Where is {{text}}?']")))
    assert len((*found.task.train, *found.task.dev, *found.task.test)) == 36
    assert any(w.startswith("2 of 38 tests left out: a test without assert") for w in found.findings.warnings)
    with pytest.raises(DataError, match="nothing to judge by"):
        cases(write(tmp_path, listed(bare, "prompts: ['{{text}}']")))


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    tests = many(
        lambda t, a: {
            "vars": {"text": t},
            "threshold": 0.5,
            "options": {"transform": "output.slice(1)"},
            "assert": [{"type": "equals", "value": a, "transform": "output"}],
        }
    )
    head = "prompts: ['Where is {{text}}?']\nredteam: {plugins: [x]}\nnunjucksFilters: {a: b.js}"
    warnings = " ".join(read(write(tmp_path, listed(tests, head))).findings.warnings)
    for name in ("redteam, nunjucksFilters", "'threshold'", "'options.transform'", "'assert.transform'"):
        assert name in warnings


def test_scenarios_are_each_setting_with_each_test(tmp_path: Path) -> None:
    config = [{"vars": {"place": p, "want": a}} for p, a in zip(("hall", "loft", "yard"), ANSWERS, strict=True)]
    tests = [{"vars": {"text": t}, "assert": [{"type": "equals", "value": "{{want}}"}]} for t in WORDS]
    head = "prompts: ['{{text}} in {{place}}']"
    found = read(write(tmp_path, f"{head}\nscenarios: {json.dumps([{'config': config, 'tests': tests}])}\n"))
    rows = (*found.task.train, *found.task.dev, *found.task.test)
    assert len(rows) == 36
    assert {row.target for row in rows if row.input["place"] == "loft"} == {"desk"}


def test_a_rows_braces_stay_text(tmp_path: Path) -> None:
    tests = many(
        lambda t, a: {"vars": {"text": f"{t} {{{{label}}}}", "label": a}, "assert": [{"type": "equals", "value": a}]}
    )
    found = read(write(tmp_path, listed(tests, "prompts: ['Where is {{text}}?']")))
    assert asked(found.task).endswith("{{label}}?")
    assert any("stays so" in w for w in found.findings.warnings)


def test_paths_into_values(tmp_path: Path) -> None:
    tests = many(
        lambda t, a: {"vars": {"user": {"name": t, "tags": ["x", "y"]}}, "assert": [{"type": "equals", "value": a}]}
    )
    task = read(
        write(
            tmp_path,
            listed(
                tests,
                "prompts: ['{{user.name}} {{user.tags[1]}}']\ndefaultTest: {options: {disableVarExpansion: true}}",
            ),
        )
    ).task
    assert asked(task) == f"{task.train[0].input['user.name']} y"


def test_prompt_files_and_their_older_form(tmp_path: Path) -> None:
    write(tmp_path, "One {{text}}\n---\nTwo {{text}}\n", "p.txt")
    write(tmp_path, "# Three\n\n---\n\n{{text}}", "q.md")
    write(tmp_path, "- role: system\n  content: Yes or no?\n- role: user\n  content: '{{text}}'\n", "r.yaml")
    tests = many(lambda t, a: {"vars": {"text": t}, "assert": [{"type": "equals", "value": a}]})
    head = "prompts: {p.txt: first, file://q.md: second, r.yaml: third}"
    task = read(write(tmp_path, listed(tests, head))).task
    said = [[m.content for m in messages(p, task.train[0])] for p in task.prompts]
    text = task.train[0].input["text"]
    assert said == [[f"One {text}"], [f"Two {text}"], [f"# Three\n\n---\n\n{text}"], ["Yes or no?", text]]


def test_python_asserts_see_every_var(tmp_path: Path) -> None:
    given = "context['vars']"
    code = f"def get_assert(output, context):\n    return output == {given}['label'] and {given}['expected'] == 'e'\n"
    write(tmp_path, code, "check.py")
    judge = [{"type": "python", "value": "file://check.py"}]
    tests = many(lambda t, a: {"vars": {"text": t, "label": a, "expected": "e"}, "assert": judge})
    task = read(write(tmp_path, listed(tests, "prompts: ['{{text}}']"))).task
    metric = metric_of(task.metric)
    row = task.test[0]
    label = json.loads(row.target)[0]["vars"]["label"]
    assert (metric(row, label).value, metric(row, "other").value) == (1.0, 0.0)
    assert "label" not in row.input


def test_default_test_in_a_file_and_missing_vars(tmp_path: Path) -> None:
    write(tmp_path, "vars: {tone: dry}\nassert: [{type: equals, value: '{{label}}'}]\n", "d.yaml")
    tests = many(lambda t, a: {"vars": {"text": t, "label": a, **({"when": "now"} if a == "rug" else {})}})
    path = write(tmp_path, listed(tests, "prompts: ['{{tone}} {{text}} {{when}}']\ndefaultTest: file://d.yaml"))
    found = read(path)
    assert {row.input["tone"] for row in found.task.train} == {"dry"}
    assert any("missing in a test: when" in w for w in found.findings.warnings)
    assert spec_values(path)["input"] == ["tone", "text", "when"]
    assert table(path).columns == ("tone", "text", "when", "expected")


def test_lint_knows_which_vars_a_prompt_may_name(tmp_path: Path) -> None:
    tests = many(lambda t, a: {"vars": {"text": t, "label": a}, "assert": [{"type": "equals", "value": "{{label}}"}]})
    path = write(tmp_path, listed(tests, "prompts: ['Where is {{text}}?']"))
    assert wordings(path)[0].fields == ("text",)
    assert wordings(write(tmp_path, listed(tests, "prompts: ['{{label}} {{text}}']")))[0].fields == ("text", "label")
