"""promptfoo's asserts: read from a test, kept as JSON in a row's target, judged on an answer.

    equals, contains, icontains, contains-any, contains-all, icontains-any, icontains-all, starts-with, regex,
    is-json, contains-json (both with a JSON schema), python (file://checks.py or file://checks.py:function)

Each may have `not-` before it, a weight and a threshold. `javascript` would be a program of another language and
`llm-rubric` another model's judgement: both are refused with what to do instead.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Example, Score
from whichway.prompts.variables import fill, names, plain
from whichway.prompts.yaml_core import typed

FILE = "file://"
_LISTS = ("contains-any", "contains-all", "icontains-any", "icontains-all")
_REFUSED = {
    "javascript": "is a JavaScript program, which is not run here. Write it in Python: type: python, "
    "value: file://checks.py",
    "llm-rubric": "asks a model to judge. Name one on this machine as its provider (whichway:FOLDER), with the same "
    "rubric in every test and no other assert; or make a task file with `judge:`",
}
_ALIKE = dict.fromkeys(
    ("model-graded-closedqa", "factuality", "g-eval", "answer-relevance", "select-best", "similar"), "llm-rubric"
)


@dataclass(frozen=True, slots=True)
class Assertion:
    """One assert with its variables filled in."""

    kind: str
    value: Any = None
    negated: bool = False
    weight: float = 1.0
    threshold: float | None = None
    digest: str = ""  # of the Python file, so that a plan notices a change

    def facts(self) -> dict[str, Any]:
        """The assert as JSON, without keys at their defaults."""
        required = {"type": ("not-" if self.negated else "") + self.kind, "value": self.value}
        optional = {
            "weight": self.weight if self.weight != 1 else None,
            "threshold": self.threshold,
            "digest": self.digest,
        }
        return {key: value for key, value in {**required, **optional}.items() if value not in (None, "")}


def assertion(source: Any, values: Mapping[str, str], folder: Path, where: str) -> Assertion:
    """An assert of a promptfoo test, checked and with its variables filled in.

    Args:
        source: as the configuration has it.
        values: of the test's vars, put in place of `{{name}}`.
        folder: of the configuration; `file://` is relative to it.
        where: for messages.

    Raises:
        DataError: its type cannot be judged here.
    """
    if not isinstance(source, Mapping) or not isinstance(source.get("type"), str):
        raise DataError(f"{where}: an assert needs a type, such as equals, not {source!r:.60}.")
    negated, kind = source["type"].startswith("not-"), source["type"].removeprefix("not-")
    if kind in _REFUSED or kind in _ALIKE:
        raise DataError(f"{where}: the assert {kind} {_REFUSED[_ALIKE.get(kind, kind)]}.")
    if kind not in _JUDGES:
        raise DataError(f"{where}: the assert {kind} is not known here. Known: {', '.join(sorted(_JUDGES))}.")
    _refuse_unknown(source.get("value"), values, where)
    value, digest = _filled(source.get("value"), values), ""
    if isinstance(value, bool | int | float):
        value = json.dumps(value)
    if (
        kind in ("is-json", "contains-json")
        or isinstance(value, Mapping)
        or (kind == "equals" and isinstance(value, list))
    ):
        value = typed(value)
    if kind in _LISTS and isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if kind == "python":
        value, digest = _file(str(value or ""), folder, where)
    if isinstance(value, str) and value.startswith(FILE) and kind != "python":
        value = _read(folder / value.removeprefix(FILE), kind, where)
    if value is None and kind not in ("is-json", "contains-json"):
        raise DataError(f"{where}: the assert {kind} needs a value.")
    _try(kind, value, where)
    threshold, weight = (_number(source.get(key), key, where) for key in ("threshold", "weight"))
    return Assertion(kind, value, negated, 1.0 if weight is None else weight, threshold, digest)


def _refuse_unknown(value: Any, values: Mapping[str, str], where: str) -> None:
    """Refuse a value that names what no test has: it would be compared as it is written."""
    parts = value if isinstance(value, list) else value.values() if isinstance(value, Mapping) else [value]
    for part in parts:
        for name in names(plain(part, where)) if isinstance(part, str) and "{" in part else ():
            if name not in values:
                suggestion = did_you_mean(name, values)
                raise DataError(
                    f"{where}: an assert names {{{{{name}}}}}, and the test has no var '{name}'.{suggestion}"
                )


def _number(value: Any, key: str, where: str) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: the {key} of an assert is a number, not {value!r:.40}.") from None


def of_word(word: str) -> dict[str, Any]:
    """An `__expected` cell of a CSV file: `contains:text`, `is-json`, or a text that must be equal."""
    match = re.match(r"\s*((?:not-)?[a-z]+(?:-[a-z]+)*)(?:\(([\d.]+)\))?(?::|$)", word)
    aliases = {"fn": "javascript", "eval": "javascript", "grade": "llm-rubric"}
    kind = aliases.get(match.group(1), match.group(1)) if match else ""
    plain = kind.removeprefix("not-")
    if match and (plain in _JUDGES or plain in _REFUSED or plain in _ALIKE):
        value = word[match.end() :].strip()
        assertion_data: dict[str, Any] = {"type": kind, "value": value or None}
        return assertion_data if not match.group(2) else {**assertion_data, "threshold": float(match.group(2))}
    return {"type": "equals", "value": word.strip()}


def judge(asserts: list[Mapping[str, Any]], example: Example, text: str) -> Score:
    """The weighted mean of what each assert gives, as promptfoo scores a test; `why` names those that failed."""
    total = got = 0.0
    failed = []
    for one in asserts:
        kind = str(one["type"]).removeprefix("not-")
        row = replace(example, input={**example.input, **one["vars"]}) if "vars" in one else example
        value, why = _JUDGES[kind](one.get("value"), row, text)
        threshold = one.get("threshold")
        value = float(value >= float(threshold)) if threshold is not None else value
        value = 1 - value if str(one["type"]).startswith("not-") else value
        weight = float(one.get("weight", 1))
        total, got = total + weight, got + weight * value
        if value < 1:
            failed.append(f"{one['type']}{f' ({why})' if why else ''}")
    return Score(got / total if total else 1.0, f"failed: {'; '.join(failed)}" if failed else "")


Judge = Callable[[Any, Example, str], tuple[float, str]]


def _text(test: Callable[[str, str], bool]) -> Judge:
    def of(value: Any, example: Example, text: str) -> tuple[float, str]:
        return float(test(str(value), text)), f"“{str(value)[:40]}”"

    return of


def _many(test: Callable[[str, str], bool], whole: Callable[[Any], bool]) -> Judge:
    def of(value: Any, example: Example, text: str) -> tuple[float, str]:
        return float(whole(test(str(one), text) for one in value)), ", ".join(map(str, value))[:60]

    return of


def _holds(part: str, text: str) -> bool:
    return part in text


def _holds_loosely(part: str, text: str) -> bool:
    return part.casefold() in text.casefold()


def _equal(value: Any, example: Example, text: str) -> tuple[float, str]:
    """Equal text; where an object is wanted, equal JSON."""
    if isinstance(value, str):
        return float(value == text.strip()), f"“{value[:40]}”"
    try:
        return float(json.loads(text) == value), "other JSON"
    except ValueError:
        return float(str(value) == text.strip()), f"“{str(value)[:40]}”"


def _json(whole: bool) -> Judge:
    def of(value: Any, example: Example, text: str) -> tuple[float, str]:
        import jsonschema

        for part in [text] if whole else _objects(text):
            try:
                parsed = json.loads(part)
                if value:
                    jsonschema.validate(parsed, value)
                return 1.0, ""
            except (ValueError, jsonschema.ValidationError):
                continue
        return 0.0, "not the JSON wanted" if value else "no JSON"

    return of


def _objects(text: str) -> list[str]:
    """The JSON values that begin at some brace of a text."""
    decoder, texts = json.JSONDecoder(), []
    for match in re.finditer(r"[\[{]", text):
        try:
            _, end = decoder.raw_decode(text, match.start())
            texts.append(text[match.start() : end])
        except ValueError:
            continue
    return texts


def _python(value: Any, example: Example, text: str) -> tuple[float, str]:
    from whichway.tasks.metrics import python_function

    metric = _loaded(str(value), python_function)
    score = metric(example, text)
    return score.value or 0.0, score.why


def _loaded(named: str, module: Any) -> Any:
    if named not in _METRICS:
        _METRICS[named] = module.Metric(module.Options(named))
    return _METRICS[named]


_METRICS: dict[str, Any] = {}  # a Python file is run once
_JUDGES: dict[str, Judge] = {
    "equals": _equal,
    "contains": _text(_holds),
    "icontains": _text(_holds_loosely),
    "starts-with": _text(lambda value, text: text.startswith(value)),
    "regex": _text(lambda value, text: re.search(value, text) is not None),
    "contains-any": _many(_holds, any),
    "contains-all": _many(_holds, all),
    "icontains-any": _many(_holds_loosely, any),
    "icontains-all": _many(_holds_loosely, all),
    "is-json": _json(True),
    "contains-json": _json(False),
    "python": _python,
}


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """A value with `{{name}}` filled in, also inside lists and mappings."""
    if isinstance(value, str):
        return fill(value, values) if "{{" in value else value
    if isinstance(value, list):
        return [_filled(one, values) for one in value]
    return {key: _filled(one, values) for key, one in value.items()} if isinstance(value, Mapping) else value


def _file(value: str, folder: Path, where: str) -> tuple[str, str]:
    """`file://checks.py:function` as an absolute name (default function: get_assert), and the file's digest."""
    if not value.startswith(FILE):
        raise DataError(
            f"{where}: Python inside the configuration is not run. Put it into a file: value: file://checks.py"
        )
    name, colon, function = value.removeprefix(FILE).partition(".py:")
    path = (folder / (f"{name}.py" if colon else name)).absolute()
    if not path.is_file():
        raise DataError(f"{where}: there is no file {path}.")
    return f"{path}:{function or 'get_assert'}", hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _read(path: Path, kind: str, where: str) -> Any:
    if not path.is_file():
        raise DataError(f"{where}: there is no file {path}.")
    text = path.read_text(encoding="utf-8").strip()
    try:
        return json.loads(text) if kind in ("is-json", "contains-json") else text
    except ValueError as error:
        raise DataError(f"{path}: no JSON schema: {error}.") from None


def _try(kind: str, value: Any, where: str) -> None:
    """Refuse a pattern or a schema that cannot be used."""
    if kind == "regex":
        try:
            re.compile(str(value))
        except re.error as error:
            raise DataError(f"{where}: the pattern {value} is not valid: {error}.") from None
    if kind in ("is-json", "contains-json") and value is not None and not isinstance(value, Mapping | bool):
        raise DataError(f"{where}: {kind} takes a JSON schema, not {value!r:.60}.")
