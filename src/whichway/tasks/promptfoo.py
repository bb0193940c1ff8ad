"""promptfoo configurations as tasks: prompts, tests with vars and asserts, files they name.

A test becomes a row: the vars that a prompt names are the input, its asserts what the answer is judged by; a var that
no prompt names (the wanted answer under `equals '{{label}}'`) stays out of the input. Where every test has just one
`equals`, the rows have wanted answers, labels are found as in any data, and all ways can be tried. Otherwise the answer
is judged by the asserts (`metrics/assertions.py`), there is nothing to train on, and prompts are tried alone.
Where every test has one and the same `llm-rubric` and its provider is a model on this machine, that model judges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Prompt, canonical
from whichway.prompts import files, variables
from whichway.prompts.yaml_core import typed
from whichway.tasks import promptfoo_prompts, promptfoo_tests
from whichway.tasks.encodings import decode
from whichway.tasks.promptfoo_prompts import Wording
from whichway.tasks.promptfoo_tests import Case, Tests, default_test, every, parse
from whichway.tasks.table import DataTable, Row

NAMES = ("promptfooconfig.yaml", "promptfooconfig.yml")
TARGET = "expected"  # the column that holds the wanted answer, or the asserts as JSON; another where a var is named so
MOST_LABELS = 20
LOCAL = "whichway:"  # may stand before a model on this machine, where promptfoo wants a provider
_KNOWN = frozenset(
    {"prompts", "tests", "scenarios", "defaultTest", "providers", "targets", "description"}
    # what says where results go, or how promptfoo runs
    | {
        "outputPath",
        "evaluateOptions",
        "commandLineOptions",
        "sharing",
        "tags",
        "metadata",
        "writeLatestResults",
        "env",
    }
    | {"$schema", "yaml-language-server"}
)


def is_config(path: Path) -> bool:
    """Whether a YAML file is a promptfoo configuration: by its name, or as it has prompts and tests or providers."""
    if path.name in NAMES:
        return True
    keys = set(re.findall(r"(?m)^([A-Za-z]\w*):", decode(path)))
    return "prompts" in keys and bool(keys & {"tests", "providers", "defaultTest", "targets", "scenarios"})


def wordings(path: Path) -> list[Wording]:
    """The prompts of a configuration.

    Raises:
        DataError: there is none, or one that is a program or holds template logic; names file and line.
    """
    values = _values(path)
    prompts = promptfoo_prompts.wordings(values, path)
    names, judged = _names(values, path)
    variables_asked = {name for one in prompts for name in one.names}
    fields = tuple(name for name in names if name in variables_asked or name not in judged) or None
    return [replace(one, fields=fields) for one in prompts]


def spec_values(path: Path) -> dict[str, Any]:
    """The keys of a task file that a configuration says: data, input, target, metric, ask, prompt, ways.

    Raises:
        DataError: as `cases` and `wordings` do, or a prompt that names no var, or one that no test has.
    """
    values, judge = _values(path), rubric(path)
    tests, prompts = cases(path), wordings(path)
    keys: dict[str, Any] = {
        "data": path.name,
        "prompt": [_prompt(one) for one in prompts],
        "input": list(_inputs(prompts, tests, path)),
        "name": path.absolute().parent.name or "promptfoo",
        "ask": str(values.get("description") or "Answer as the prompt asks.").strip().split("\n")[0],
    }
    if judge:
        return {**keys, "judge": {"model": judge[0], "rubric": judge[1]}}
    metric, ways = _metric_and_ways(tests)
    labels: dict[str, Any] = {"labels": []} if metric == "assertions" else {}
    return {**keys, "target": _target(keys["input"]), "metric": metric, **labels, **ways}


def _prompt(wording: Wording) -> Prompt:
    if wording.chat:
        return files.of_turns(files.messages_of(wording.text, wording.path)[0], wording.path)
    return files.of_text(wording.text, wording.path)


def _inputs(prompts: Sequence[Wording], tests: Sequence[Case], path: Path) -> tuple[str, ...]:
    """The vars that some prompt names, in the order of the tests; a path into a value is a field of its own."""
    known = promptfoo_tests.names(tests)
    named = tuple(dict.fromkeys(name for one in prompts for name in one.names))
    if not named:
        raise DataError(
            f"{path}: no prompt names a variable, so each test would ask the same. Write {{{{name}}}} in one."
        )
    for name in named:
        if not any(_lookup(name, case.values) is not None for case in tests):
            suggestion = did_you_mean(name, known)
            raise DataError(f"{path}: a prompt names {{{{{name}}}}}, and no test has a var '{name}'.{suggestion}")
    return tuple(sorted(named, key=lambda name: known.index(name) if name in known else len(known)))


def _lookup(name: str, values: Mapping[str, str]) -> str | None:
    """The value of a name, or of a path into a value that is an object: `user.name`, `items[0]`."""
    if name in values:
        return values[name]
    first, *rest = re.findall(r"[^.\[\]]+", name)
    if first not in values or not rest:
        return None
    try:
        value = json.loads(values[first])
        for step in rest:
            value = value[int(step)] if isinstance(value, list) else value[step]
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _target(inputs: Sequence[str]) -> str:
    """The name of the answers' column: not that of a var."""
    name = TARGET
    while name in inputs:
        name = f"_{name}"
    return name


def table(path: Path) -> DataTable:
    """The tests as rows."""
    tests, judged = _tests(path), rubric(path) is not None
    prompts = wordings(path)
    inputs = _inputs(prompts, tests.cases, path)
    gold = None if judged else _gold(tests.cases)
    target = _target(inputs)
    rows, missing = [], []
    for case in tests.cases:
        fields = {name: _lookup(name, case.values) for name in inputs}
        missing += [name for name, value in fields.items() if value is None]
        wanted = {} if judged else {target: gold(case) if gold else canonical(list(_facts(case, inputs)))}
        rows.append(Row({name: value or "" for name, value in fields.items()} | wanted, case.path, case.line))
    notes = [*tests.notes, *_unread(path)]
    if missing:
        notes.append(
            f"{len(missing)} times a var that a prompt names is missing in a test: {', '.join(dict.fromkeys(missing))}."
        )
    spare = [name for name in promptfoo_tests.names(tests.cases) if not _used(name, inputs)]
    if spare:
        notes.append(f"Vars that no prompt names are no input: {', '.join(spare)}.")
    names = (*inputs, *(() if judged else (target,)))
    return DataTable(path, names, tuple(rows), warnings=tuple(notes))


def _used(name: str, inputs: Sequence[str]) -> bool:
    return any(one == name or re.match(rf"{re.escape(name)}[.\[]", one) for one in inputs)


def _facts(case: Case, inputs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The asserts as JSON. A Python file sees all vars, also those that are no input."""
    more = {name: value for name, value in case.values.items() if name not in inputs}
    for one in case.asserts:
        yield {**one.facts(), **({"vars": more} if more and one.kind == "python" else {})}


def _unread(path: Path) -> Iterator[str]:
    keys = [str(key) for key in _values(path) if str(key) not in _KNOWN]
    if keys:
        yield f"{path.name}: not read: {', '.join(keys)}."


def cases(path: Path) -> list[Case]:
    """The tests of a configuration that become rows.

    Raises:
        DataError: no tests, none with vars and asserts, or an assert that cannot be judged here; names file and line.
    """
    return list(_tests(path).cases)


def _tests(path: Path) -> Tests:
    return promptfoo_tests.tests(_values(path), path, rubric(path) is not None)


def rubric(path: Path) -> tuple[str, str] | None:
    """The local model that judges and its rubric, where every test has this one `llm-rubric` and nothing else."""
    values = _values(path)
    default = default_test(values, path)
    grader = (default.get("options") or {}).get("provider")
    pairs = set()
    for entry in every(values, path):
        asserts = [*(default.get("assert") or []), *(entry.test.get("assert") or [])]
        if len(asserts) != 1 or not isinstance(asserts[0], Mapping) or asserts[0].get("type") != "llm-rubric":
            return None
        pairs.add((str(asserts[0].get("provider") or grader or ""), str(asserts[0].get("value") or "")))
    model, text = pairs.pop() if len(pairs) == 1 else ("", "")
    named = model.removeprefix(LOCAL)
    return (named, text) if named and ":" not in named and text and not variables.names(text) else None


# The ruler


def _gold(tests: Sequence[Case]) -> Callable[[Case], str] | None:
    """The wanted answer of a case, when every case has just one `equals` of a text; else None."""

    def one(case: Case) -> bool:
        return len(case.asserts) == 1 and case.asserts[0].kind == "equals" and not case.asserts[0].negated

    return (lambda case: _written(case.asserts[0].value)) if all(map(one, tests)) else None


def _written(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(typed(value), ensure_ascii=False)


def _metric_and_ways(tests: Sequence[Case]) -> tuple[str | dict[str, Any], dict[str, Any]]:
    """The metric, and the ways where there is nothing to train on."""
    gold = _gold(tests)
    if gold is None:
        return "assertions", {"ways": {"prompt_plain": {}}}
    targets = [gold(case) for case in tests]
    few = len(set(targets)) <= MOST_LABELS and len(targets) >= 3 * len(set(targets)) > 3
    return ("accuracy" if few else {"name": "exact_match", "strict": True}), {}


def _names(values: Mapping[str, Any], path: Path) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of the vars, and those that asserts name."""
    names: dict[str, None] = {}
    judged: set[str] = set()
    for test in (default_test(values, path), *(entry.test for entry in every(values, path))):
        test_vars = test.get("vars") or {}
        names |= dict.fromkeys(str(name) for name in test_vars) if isinstance(test_vars, Mapping) else {}
        judged |= set(variables.names(json.dumps(test.get("assert") or [])))
    return tuple(names), frozenset(judged)


def _values(path: Path) -> Mapping[str, Any]:
    config = parse(path)
    if not isinstance(config, Mapping):
        raise DataError(f"{path}: a promptfoo configuration holds keys, such as prompts and tests.")
    return config
