"""The tests of a promptfoo configuration: from the file itself, scenarios, and the YAML, JSON and CSV files they name.

Values are texts as they are written (`010`, `yes`, `12:10`): YAML is read by the core schema of YAML 1.2, as promptfoo
reads it. What is not read here is named in `Tests.notes` when it changes nothing that is measured, and refused when
it does.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.prompts import yaml_core
from whichway.prompts.yaml_core import typed
from whichway.tasks import text_rows
from whichway.tasks.assertions import Assertion, assertion, of_word
from whichway.tasks.encodings import decode

FILE = "file://"
_PROGRAMS = (".js", ".cjs", ".mjs", ".ts", ".py", ".rb", ".sh", ".go")
_READ = ("vars", "assert", "description", "metadata", "options")  # keys of a test
_OPTIONS = ("provider", "disableVarExpansion", "transform", "rubricPrompt")
_ASSERT = ("type", "value", "weight", "threshold", "provider", "metric", "rubricPrompt")
_CHANGES = {  # options that change what is asked
    "transformVars": "changes the variables by a program, which is not run here. Write the values as they should be",
    "prefix": "stands before each prompt. Write it into the prompts",
    "suffix": "stands after each prompt. Write it into the prompts",
}
OURS = "output.trim()"  # the transform that `whichway ship --format promptfoo` writes: answers are trimmed here anyway


@dataclass(frozen=True, slots=True)
class Case:
    """One test: its variables as texts, its asserts, and where it stands."""

    values: Mapping[str, str]
    asserts: tuple[Assertion, ...]
    line: int
    path: Path


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests that become rows, and what was left out or not read, in sentences."""

    cases: tuple[Case, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A test as a file holds it."""

    test: Mapping[str, Any]
    path: Path
    line: int

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


def parse(path: Path) -> Any:
    """The value of a YAML or JSON file, each scalar as it is written.

    Raises:
        DataError: there is no such file, or it is broken; names the line.
    """
    import yaml

    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        return yaml_core.load(decode(path))
    except yaml.YAMLError as error:
        at, problem = yaml_core.problem(error)
        raise DataError(f"{path}{at}: not valid YAML: {problem}.") from None


def default_test(values: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The default test, also from the file that it names."""
    default = values.get("defaultTest") or {}
    if isinstance(default, str) and default.startswith(FILE):
        default = parse(path.parent / default.removeprefix(FILE)) or {}
    if not isinstance(default, Mapping):
        raise DataError(f"{path}: defaultTest is a mapping or {FILE}PATH, not {default!r:.60}.")
    return default


def tests(values: Mapping[str, Any], path: Path, judged: bool) -> Tests:
    """The tests of a configuration, with the default test's vars and asserts, and lists of values multiplied out.

    Args:
        values: the configuration.
        path: its file.
        judged: a model judges by one rubric, so that tests need no asserts.

    Raises:
        DataError: no test, none with vars and asserts, or what cannot be asked or judged here; names file and line.
    """
    default = default_test(values, path)
    entries = list(every(values, path))
    if not entries:
        raise DataError(f"{path}: no tests. Each test becomes a row; a task needs at least a dozen.")
    notes = _Notes(len(entries))
    cases = [case for one in entries for case in _cases(one, default, path, judged, notes)]
    if not cases:
        raise DataError(f"{entries[0].where}: {notes.first} This holds for every test.")
    return Tests(tuple(cases), tuple(notes.sentences()))


class _Notes:
    """Counts what is left out or not read."""

    def __init__(self, total: int) -> None:
        self.total, self.first = total, ""
        self.left: dict[str, list[str]] = {}
        self.keys: dict[str, str] = {}
        self.braces: list[str] = []

    def leave(self, why: str, what: str, where: str) -> None:
        self.first = self.first or f"{why}: {what}."
        self.left.setdefault(why, []).append(where)

    def sentences(self) -> Iterator[str]:
        for why, places in self.left.items():
            named = Path(places[0]).name
            yield f"{len(places)} of {self.total} tests left out: {why} (first: {named})."
        for key, where in self.keys.items():
            yield f"{Path(where).name}: '{key}' is not read."
        if self.braces:
            named = ", ".join(dict.fromkeys(self.braces))
            yield (f"{len(self.braces)} values hold {named}: promptfoo would fill that in, here a row's text stays so.")


def _cases(one: _Entry, default: Mapping[str, Any], path: Path, judged: bool, notes: _Notes) -> Iterator[Case]:
    test, where = one.test, one.where
    test_vars = {**_mapping(default.get("vars"), path, path), **_mapping(test.get("vars"), one.path, path)}
    asserts = [*(default.get("assert") or []), *(test.get("assert") or [])]
    options = _options(default, test, where, notes)
    for each in asserts:
        for key in each if isinstance(each, Mapping) else ():
            if key not in _ASSERT:
                notes.keys.setdefault(f"assert.{key}", where)
    for key in test:
        if key not in _READ and key not in notes.keys:
            notes.keys[str(key)] = where
    if not test_vars:
        notes.leave("a test without vars", "there is nothing to ask about", where)
        return
    if not asserts:
        notes.leave("a test without assert", "there is nothing to judge by", where)
        return
    whole = str(options.get("disableVarExpansion")).lower() == "true"
    lists = {str(name): _values(value, path.parent, whole) for name, value in test_vars.items()}
    for combination in itertools.product(*lists.values()):
        filled = dict(zip(lists, combination, strict=True))
        notes.braces += [f"{{{{{name}}}}}" for name in filled if any(f"{{{{{name}}}}}" in v for v in filled.values())]
        asserts_filled = () if judged else tuple(assertion(each, filled, path.parent, where) for each in asserts)
        yield Case(filled, asserts_filled, one.line, one.path)


def _mapping(variables_given: Any, at: Path, path: Path) -> Mapping[str, Any]:
    """Vars, also from the YAML or JSON files that they name."""
    if isinstance(variables_given, str | list) and variables_given:
        names = [variables_given] if isinstance(variables_given, str) else variables_given
        files = [file for name in names for file in _glob(str(name), path.parent)]
        parts = [_mapping(parse(file), file, path) for file in files]
        return {key: value for part in parts for key, value in part.items()}
    if variables_given and not isinstance(variables_given, Mapping):
        raise DataError(f"{at}: vars are a mapping from names to values, not {variables_given!r:.60}.")
    return variables_given or {}


def _options(default: Mapping[str, Any], test: Mapping[str, Any], where: str, notes: _Notes) -> Mapping[str, Any]:
    options: dict[str, Any] = {**(default.get("options") or {}), **(test.get("options") or {})}
    for key, value in options.items():
        if key in _CHANGES and value:
            raise DataError(f"{where}: options.{key} {_CHANGES[key]}.")
        if (key == "transform" and value != OURS) or key not in _OPTIONS:
            notes.keys.setdefault(f"options.{key}", where)
    return options


def _values(value: Any, folder: Path, whole: bool) -> list[str]:
    """What a variable stands for, as texts: several for a list or a pattern of files."""
    if isinstance(value, list) and not whole:
        return [text for item in value for text in _values(item, folder, True)]
    if isinstance(value, str) and value.startswith(FILE):
        return [_file_value(file) for file in _glob(value, folder)]
    if value is None:
        return [""]
    return [str(value) if isinstance(value, str) else json.dumps(typed(value), ensure_ascii=False)]


def _file_value(file: Path) -> str:
    kind = file.suffix.lower()
    if kind in _PROGRAMS:
        raise DataError(f"{file}: a value that a program makes is not read: the program is not run. Write the value.")
    if kind in (".yaml", ".yml"):
        return json.dumps(typed(parse(file)), ensure_ascii=False)
    return decode(file).strip()


def _glob(named: str, folder: Path) -> list[Path]:
    """The files that a name or pattern matches.

    Raises:
        DataError: there is none.
    """
    name = named.removeprefix(FILE)
    files = sorted(folder.glob(name)) if any(mark in name for mark in "*?[") else [folder / name]
    missing = next((file for file in files if not file.is_file()), None)
    if missing or not files:
        raise DataError(f"{missing or folder / name}: no such file, named by the promptfoo configuration.")
    return files


# Where tests stand


def every(values: Mapping[str, Any], path: Path) -> Iterator[_Entry]:
    """All tests: those of the file, those of its files, and those of its scenarios.

    Raises:
        DataError: a file that is missing, or that cannot be read here.
    """
    entries = values.get("tests") or []
    marks = yaml_core.lines(decode(path), "tests")
    for place, one in enumerate([entries] if isinstance(entries, str | Mapping) else entries):
        yield from _tests_of(one, path, marks[place] if place < len(marks) else 1)
    marks = yaml_core.lines(decode(path), "scenarios")
    for place, one in enumerate(values.get("scenarios") or []):
        yield from _scenario(one, path, marks[place] if place < len(marks) else 1)


def _tests_of(one: Any, path: Path, line: int) -> Iterator[_Entry]:
    if isinstance(one, Mapping) and "path" in one and "vars" not in one:
        one = one["path"]
    if isinstance(one, Mapping):
        yield _Entry(one, path, line)
    elif isinstance(one, str):
        for file in _test_files(one, path, line):
            yield from _file_tests(file)
    else:
        raise DataError(f"{path}:{line}: a test is neither a mapping nor a file: {one!r:.60}.")


def _test_files(named: str, path: Path, line: int) -> list[Path]:
    if "://" in named and not named.startswith(FILE):
        raise DataError(f"{path}:{line}: tests from {named:.60} are not fetched. Save them as CSV and name the file.")
    if Path(named.rpartition(":")[0] or named).suffix in _PROGRAMS or Path(named).suffix in _PROGRAMS:
        raise DataError(
            f"{path}:{line}: tests that a program makes ({named:.60}) are not read: the program is not run. Save them "
            "as CSV."
        )
    return _glob(named, path.parent)


def _scenario(one: Any, path: Path, line: int) -> Iterator[_Entry]:
    """Each of a scenario's settings with each of its tests."""
    if isinstance(one, str):
        for file in _glob(one, path.parent):
            inner = parse(file)
            for each in inner if isinstance(inner, list) else [inner]:
                yield from _scenario(each, file, 1)
        return
    if not isinstance(one, Mapping) or not one.get("config"):
        raise DataError(f"{path}:{line}: a scenario needs config and tests.")
    listed = {key: one.get(key) or [{}] for key in ("config", "tests")}
    parts = {
        key: [
            entry.test
            for each in (value if isinstance(value, list) else [value])
            for entry in _tests_of(each, path, line)
        ]
        for key, value in listed.items()
    }
    for setting, test in itertools.product(parts["config"], parts["tests"]):
        joined = {**setting, **test, "vars": {**(setting.get("vars") or {}), **(test.get("vars") or {})}}
        yield _Entry({**joined, "assert": [*(setting.get("assert") or []), *(test.get("assert") or [])]}, path, line)


def _file_tests(path: Path) -> Iterator[_Entry]:
    """Tests of a CSV file (`__expected` columns), or of a YAML, JSON or JSON-lines file.

    Raises:
        DataError: it cannot be read, or is a program.
    """
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        yield from (_Entry(_csv_test(row.fields, row.where), path, row.line) for row in text_rows.read_file(path).rows)
    elif kind in (".yaml", ".yml", ".json"):
        yield from _listed(path)
    elif kind == ".jsonl":
        lines = ((number, text) for number, text in enumerate(decode(path).split("\n"), 1) if text.strip())
        yield from (_Entry(_json(text, path, number), path, number) for number, text in lines)
    else:
        raise DataError(f"{path}: tests are read from YAML, JSON, JSONL, CSV and TSV files, not from '{kind}'.")


def _listed(path: Path) -> Iterator[_Entry]:
    parsed = parse(path)
    for place, one in enumerate(parsed if isinstance(parsed, list) else [parsed]):
        if not isinstance(one, Mapping):
            raise DataError(f"{path}: test {place + 1} is no mapping with vars and assert: {one!r:.60}.")
        yield _Entry(one, path, _line(one, path))


def _line(test: Mapping[str, Any], path: Path) -> int:
    """The line of a test, found by its first value that stands in the file once."""
    source = decode(path)
    test_vars = test.get("vars")
    for value in (test_vars if isinstance(test_vars, Mapping) else {}).values():
        first = str(value).strip().split("\n")[0]
        if first and source.count(first) == 1:
            return source[: source.index(first)].count("\n") + 1
    return 1


def _json(text: str, path: Path, number: int) -> Mapping[str, Any]:
    try:
        test = json.loads(text, parse_int=yaml_core.Plain, parse_float=yaml_core.Plain)
    except ValueError as error:
        raise DataError(f"{path}:{number}: broken JSON: {error}.") from None
    if not isinstance(test, Mapping):
        raise DataError(f"{path}:{number}: a test is an object with vars and assert, not {text[:60]}.")
    return test


def _csv_test(fields: Mapping[str, str], where: str) -> Mapping[str, Any]:
    """A line of a CSV file; columns that begin with two underscores are promptfoo's own."""
    test: dict[str, Any] = {"vars": {}, "assert": []}
    for name, value in fields.items():
        if not name.startswith("__"):
            test["vars"][name] = value
        elif name.startswith("__expected"):
            test["assert"] += [of_word(value)] if value else []
        elif name in ("__prefix", "__suffix") and value:
            raise DataError(
                f"{where}: {name} changes the prompt of this row. Make it a variable that the prompt names."
            )
        elif value and name not in ("__description",) and not name.startswith("__metadata"):
            test[name] = value
    return test


def names(cases: Sequence[Case]) -> tuple[str, ...]:
    """The variables that occur in some test."""
    return tuple(dict.fromkeys(name for case in cases for name in case.values))
