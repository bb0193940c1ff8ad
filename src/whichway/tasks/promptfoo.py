"""promptfoo configurations as tasks: prompts, tests with vars and asserts, files they name.

A test becomes a row: its vars are the input, its asserts what the answer is judged by. Where every test has just one
`equals`, the rows have wanted answers, labels are found as in any data, and all ways can be tried. Otherwise the answer
is judged by the asserts (`metrics/assertions.py`), there is nothing to train on, and prompts are tried alone.
Where every test has one and the same `llm-rubric` and its provider is a model on this machine, that model judges.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.lint.read import of_messages, of_text
from whichway.nouns import Prompt, canonical
from whichway.tasks.assertions import Assertion, assertion, of_word
from whichway.tasks.encodings import decode
from whichway.tasks.table import Row, Table

NAMES = ("promptfooconfig.yaml", "promptfooconfig.yml")
TARGET = "expected"  # the column that holds the wanted answer, or the asserts as JSON
MOST_LABELS = 20
LOCAL = "whichway:"  # may stand before a model on this machine, where promptfoo wants a provider
_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
_LOGIC = re.compile(r"\{%|\{\{[^{}]*[|(][^{}]*\}\}")


@dataclass(frozen=True, slots=True)
class Wording:
    """A prompt as the configuration gives it."""

    text: str
    chat: bool  # JSON messages
    path: str  # the file that holds it
    source: str  # that file's text
    settings: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One test: vars, asserts, and the line it begins on."""

    values: Mapping[str, str]
    asserts: tuple[Assertion, ...]
    line: int


def is_config(path: Path) -> bool:
    """Whether a YAML file is a promptfoo configuration: by its name, or as it has prompts and tests or providers."""
    if path.name in NAMES:
        return True
    keys = set(re.findall(r"(?m)^([A-Za-z]\w*):", decode(path)))
    return "prompts" in keys and bool(keys & {"tests", "providers", "defaultTest", "targets"})


def wordings(path: Path) -> list[Wording]:
    """The prompts of a configuration.

    Raises:
        DataError: there is none, or one that is a program or holds template logic; names file and line.
    """
    values, source = _values(path), decode(path)
    given = values.get("prompts") or []
    listed = [given] if isinstance(given, str | dict) else list(given)
    if not listed:
        raise DataError(f"{path}: no prompts. A configuration needs at least one.")
    settings = _settings(values)
    fields = _fields(values, path)
    return [
        Wording(text, chat, str(file), source if file == path else decode(file), settings, fields)
        for one in listed
        for text, chat, file in _texts(one, path)
    ]


def spec_values(path: Path) -> dict[str, Any]:
    """The keys of a task file that a configuration says: data, input, target, metric, ask, prompt, ways.

    Raises:
        DataError: as `cases` does.
    """
    values, judge = _values(path), rubric(path)
    found = cases(path)
    names = list(dict.fromkeys(name for case in found for name in case.values))
    said: dict[str, Any] = {
        "data": path.name,
        "prompt": [_made(one) for one in wordings(path)],
        "input": names,
        "name": path.absolute().parent.name or "promptfoo",
        "ask": str(values.get("description") or "Answer as the prompt asks.").strip().split("\n")[0],
    }
    if judge:
        return {**said, "judge": {"model": judge[0], "rubric": judge[1]}}
    metric, ways = _ruler(found)
    labels: dict[str, Any] = {"labels": []} if metric == "assertions" else {}
    return {**said, "target": TARGET, "metric": metric, **labels, **ways}


def _made(wording: Wording) -> Prompt:
    made = (of_messages if wording.chat else of_text)(wording.text, wording.path)
    return made.prompt


def table(path: Path) -> Table:
    """The tests as rows."""
    found, judged = cases(path), rubric(path) is not None
    gold = None if judged else _gold(found)
    rows = []
    for case in found:
        target = gold(case) if gold else canonical([one.facts() for one in case.asserts])
        rows.append(Row({**case.values, **({} if judged else {TARGET: target})}, path, case.line))
    names = tuple(dict.fromkeys(name for row in rows for name in row.fields))
    return Table(path, names, tuple(rows))


def cases(path: Path) -> list[Case]:
    """The tests of a configuration, with the default test's vars and asserts, and lists of values multiplied out.

    Raises:
        DataError: no tests, one without vars or asserts, or an assert that cannot be judged here; names file and line.
    """
    values = _values(path)
    default = values.get("defaultTest") or {}
    if not isinstance(default, Mapping):
        raise DataError(f"{path}: defaultTest: write it into the file; a path is not read.")
    judged = rubric(path) is not None
    found = [case for test, line in _tests(values, path) for case in _cases(test, default, path, line, judged)]
    if not found:
        raise DataError(f"{path}: no tests. Each test becomes a row; a task needs at least a dozen.")
    return found


def rubric(path: Path) -> tuple[str, str] | None:
    """The local model that judges and its rubric, where every test has this one `llm-rubric` and nothing else."""
    values = _values(path)
    default = values.get("defaultTest") or {}
    default = default if isinstance(default, Mapping) else {}
    grader = (default.get("options") or {}).get("provider")
    pairs = set()
    for test, _ in _tests(values, path):
        asserts = [*(default.get("assert") or []), *(test.get("assert") or [])]
        if len(asserts) != 1 or not isinstance(asserts[0], Mapping) or asserts[0].get("type") != "llm-rubric":
            return None
        pairs.add((str(asserts[0].get("provider") or grader or ""), str(asserts[0].get("value") or "")))
    model, text = pairs.pop() if len(pairs) == 1 else ("", "")
    named = model.removeprefix(LOCAL)
    return (named, text) if named and ":" not in named and text and not _VARIABLE.search(text) else None


def _cases(test: Mapping[str, Any], default: Mapping[str, Any], path: Path, line: int, judged: bool) -> Iterator[Case]:
    given = {**(default.get("vars") or {}), **(test.get("vars") or {})}
    asserts = [*(default.get("assert") or []), *(test.get("assert") or [])]
    where = f"{path}:{line}"
    if not given:
        raise DataError(f"{where}: a test without vars: there is nothing to ask about.")
    if not asserts:
        raise DataError(f"{where}: a test without assert: there is nothing to judge by.")
    lists = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    for combination in itertools.product(*lists.values()):
        filled = {str(name): _value(value, path) for name, value in zip(lists, combination, strict=True)}
        told = () if judged else tuple(assertion(one, filled, path.parent, where) for one in asserts)
        yield Case(filled, told, line)


def _value(value: Any, path: Path) -> str:
    """A var as text; `file://` is read."""
    if isinstance(value, str) and value.startswith("file://"):
        return decode(path.parent / value.removeprefix("file://")).strip()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# Tests


def _tests(values: Mapping[str, Any], path: Path) -> Iterator[tuple[Mapping[str, Any], int]]:
    given = values.get("tests") or []
    for one in [given] if isinstance(given, str) else given:
        if isinstance(one, str):
            yield from _file_tests(path.parent / one.removeprefix("file://"))
        elif isinstance(one, Mapping):
            yield one, _line(one, path)
        else:
            raise DataError(f"{path}: a test is neither a mapping nor a file: {one!r:.60}.")


def _line(test: Mapping[str, Any], path: Path) -> int:
    """The line of a test, found by its first value that stands in the file once."""
    source = decode(path)
    for value in (test.get("vars") or {}).values():
        first = str(value).strip().split("\n")[0]
        if first and source.count(first) == 1:
            return source[: source.index(first)].count("\n") + 1
    return 1


def _file_tests(path: Path) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Tests of a CSV file (`__expected` columns), or of a YAML, JSON or JSON-lines file.

    Raises:
        DataError: it cannot be read, or is a program.
    """
    kind = path.suffix.lower()
    if kind == ".csv":
        yield from _csv_tests(path)
    elif kind in (".yaml", ".yml", ".json"):
        found = _yaml(path)
        yield from ((one, 1) for one in (found if isinstance(found, list) else [found]))
    elif kind == ".jsonl":
        yield from ((json.loads(text), n) for n, text in enumerate(decode(path).splitlines(), 1) if text.strip())
    else:
        raise DataError(
            f"{path}: tests are read from YAML, JSON, JSONL and CSV files; '{kind}' is a program or unknown."
        )


def _csv_tests(path: Path) -> Iterator[tuple[Mapping[str, Any], int]]:
    reader = csv.DictReader(io.StringIO(decode(path)))
    for row in reader:
        asserts = [of_word(value) for key, value in row.items() if key and key.startswith("__expected") and value]
        fields = {key: value or "" for key, value in row.items() if key and not key.startswith("__")}
        yield {"vars": fields, "assert": asserts}, reader.line_num


# The ruler


def _gold(found: Sequence[Case]) -> Any:
    """The wanted answer of a case, when every case has just one `equals`; else None."""
    plain = all(len(c.asserts) == 1 and c.asserts[0].kind == "equals" and not c.asserts[0].negated for c in found)
    return (lambda case: str(case.asserts[0].value)) if plain else None


def _ruler(found: Sequence[Case]) -> tuple[str | dict[str, Any], dict[str, Any]]:
    """The metric, and the ways where there is nothing to train on."""
    gold = _gold(found)
    if gold is None:
        return "assertions", {"ways": {"prompt_plain": {}}}
    targets = [gold(case) for case in found]
    few = len(set(targets)) <= MOST_LABELS and len(targets) >= 3 * len(set(targets)) > 3
    return ("accuracy" if few else {"name": "exact_match", "strict": True}), {}


# Prompts


def _texts(one: Any, path: Path) -> Iterator[tuple[str, bool, Path]]:
    """Text, whether it is chat, and file of each prompt behind an entry."""
    if isinstance(one, Mapping):
        one = one.get("raw") or one.get("id") or ""
    if not isinstance(one, str) or not one.strip():
        raise DataError(f"{path}: a prompt is a text or file://PATH, not {one!r:.60}.")
    named = one.removeprefix("file://")
    if one.startswith("file://") or ("\n" not in one and "{{" not in one and re.search(r"\.\w{2,4}$", one.strip())):
        for file in _files(named.strip(), path):
            yield from _file_texts(file)
    else:
        yield _plain(one, path), _chat(one), path


def _files(named: str, path: Path) -> list[Path]:
    files = sorted(path.parent.glob(named)) if "*" in named else [path.parent / named]
    missing = next((file for file in files if not file.is_file()), None)
    if missing or not files:
        raise DataError(f"{path}: the prompt file {missing or named} is missing.")
    return files


def _file_texts(file: Path) -> Iterator[tuple[str, bool, Path]]:
    if file.suffix.lower() not in (".txt", ".md", ".json", ".yaml", ".yml", ".j2", ""):
        raise DataError(f"{file}: a prompt that is a program is not run. Write out the text it gives.")
    text = decode(file)
    if file.suffix.lower() in (".yaml", ".yml"):
        yield _plain(json.dumps(_yaml(file)), file), True, file
        return
    parts = re.split(r"(?m)^---\s*$\n?", text) if file.suffix.lower() != ".json" else [text]
    yield from ((_plain(part, file), _chat(part), file) for part in parts if part.strip())


def _chat(text: str) -> bool:
    return text.lstrip().startswith("[") and '"role"' in text


def _plain(text: str, path: Path) -> str:
    """The text, refused where it holds template logic: a row only fills in variables here."""
    logic = _LOGIC.search(text)
    if logic:
        raise DataError(
            f"{path}: “{logic.group()}”: filters and template logic are not run. Use plain {{{{variables}}}}."
        )
    return text


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Decoding of the first provider that configures any."""
    for one in values.get("providers") or values.get("targets") or ():
        if isinstance(one, Mapping):
            inner = one if "config" in one or "id" in one else next(iter(one.values()), {})
            config = (inner or {}).get("config") or {}
            if config:
                return {
                    key: config[key]
                    for key in ("temperature", "max_tokens", "stop", "response_format")
                    if key in config
                }
    return {}


def _fields(values: Mapping[str, Any], path: Path) -> tuple[str, ...] | None:
    """Names of the vars; None without tests."""
    names: dict[str, None] = dict.fromkeys((values.get("defaultTest") or {}).get("vars") or {})
    for test, _ in _tests(values, path):
        names |= dict.fromkeys(str(name) for name in test.get("vars") or {})
    return tuple(names) or None


def _values(path: Path) -> Mapping[str, Any]:
    found = _yaml(path)
    if not isinstance(found, Mapping):
        raise DataError(f"{path}: a promptfoo configuration holds keys, such as prompts and tests.")
    return found


def _yaml(path: Path) -> Any:
    import yaml

    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        return yaml.safe_load(decode(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{path}{at}: not valid YAML: {getattr(error, 'problem', error)}.") from None
