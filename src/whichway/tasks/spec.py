"""What the user says about a task: `task.yaml`, or the same keys as flags. Checked once, here, with file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator

from whichway.errors import DataError, OptionError, did_you_mean
from whichway.nouns import Budget, JudgeSpec, MetricSpec, Prompt
from whichway.options import MODEL_HELP, checked, declared
from whichway.prompts import files
from whichway.tasks import metrics, promptfoo
from whichway.tasks.labels import TargetType
from whichway.tasks.table import SPLIT_WORDS, ReadOptions
from whichway.tasks.task_yaml import values_and_lines

TASK_FILE = "task.yaml"
SHARES = re.compile(r"\d+(\.\d+)?(/\d+(\.\d+)?){2}")
LEVELS = JudgeSpec("", "").levels


@dataclass(frozen=True, slots=True)
class Flag:
    """How a key is said on the command line; its name is the key's with dashes."""

    kind: Any  # the type of its value
    metavar: str | None = None  # what stands for the value in `--help`
    read: Callable[[Any], Any] | None = None  # from the flag's value to the key's; raises OptionError


def words_of(text: str) -> tuple[str, ...]:
    """`a, b` as words."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def split_of(text: str) -> str | dict[str, float]:
    """`60/20/20` as shares of train, dev and test; anything else is a column.

    Raises:
        OptionError: shares that do not sum to 100, or one of none.
    """
    if not SHARES.fullmatch(text):
        return text
    parts = [float(part) for part in text.split("/")]
    if min(parts) <= 0:
        raise OptionError(f"--split {text}: each share must be above 0.")
    if not any(abs(sum(parts) - whole) < 1e-6 * whole for whole in (1, 100)):
        raise OptionError(f"--split {text}: the shares of train, dev and test must sum to 100.")
    return dict(zip(("train", "dev", "test"), (part / sum(parts) for part in parts), strict=True))


class BudgetKeys(BaseModel):
    """The budget of one way; the same keys as `nouns.Budget`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usd: float | None = Field(None, gt=0)
    seconds: float | None = Field(None, gt=0)
    calls: int | None = Field(None, gt=0)

    def budget(self) -> Budget:
        """The budget as a `nouns.Budget`."""
        return Budget(self.usd, self.seconds, self.calls)


class JudgeKeys(BaseModel):
    """The judge of written answers; the same keys as `nouns.JudgeSpec`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="who judges: a model folder, a hub name; not the model under trial")
    rubric: str = Field(min_length=3, description="what is judged, in a sentence or two")
    levels: tuple[str, ...] = Field(LEVELS, min_length=2, description="levels in words, worst first")
    repeats: int = Field(3, ge=1, description="times that each answer is judged")
    pairs: bool = Field(True, description="compare the ways two by two, in both orders")
    itself: bool = Field(False, description="the model under trial may judge")
    temperature: float = Field(0.0, ge=0, description="0: levels are scored; above: drawn")

    def spec(self) -> JudgeSpec:
        """As a noun."""
        return JudgeSpec(**{name: getattr(self, name) for name in type(self).model_fields})


def _run_keys() -> Any:
    """A model with a key for each declared option of a run; None: not said."""
    keys = {
        name: (checked(name) | None, Field(None, description=declaration.help))
        for name, declaration in declared().items()
    }
    return create_model("RunKeys", **keys)  # type: ignore[call-overload]


class Spec(_run_keys()):  # type: ignore[misc]  # the keys of `options.RunOptions` are fields as well
    """All that a task file may say. Paths are as they can be opened from here.

    Each key is declared here and nowhere else: one with a `Flag` is an option of the command line as well, and every
    one is an argument of the Python API.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    data: Annotated[Path | None, Flag(Path)] = Field(
        None, description="Data: CSV, TSV, JSONL, JSON, Parquet, or a folder with train/valid/test."
    )
    unlabelled: Annotated[Path | None, Flag(Path)] = Field(
        None, description="Rows without a wanted answer, which a teacher labels; or the data file: its rows without."
    )
    input: Annotated[tuple[str, ...] | None, Flag(list[str], read=tuple)] = Field(
        None, description="Column with the input; repeat it for several."
    )
    target: Annotated[str | None, Flag(str)] = Field(None, description="Column with the wanted answer.")
    ask: Annotated[str | None, Flag(str)] = Field(None, description="What is asked, in one line.")
    name: Annotated[str | None, Flag(str)] = Field(None, description="Name of the task; default: the data file's.")
    metric: Annotated[MetricSpec | None, Flag(str)] = Field(
        None, description="How an answer is judged: accuracy, macro_f1, exact_match, ..."
    )
    model: Annotated[str, Flag(list[str])] = Field(
        "", description=f"{MODEL_HELP}; repeat it to try every way on several."
    )
    models: tuple[str, ...] = Field((), description="Several models under trial; each way is tried on each.")
    labels: Annotated[tuple[str, ...] | None, Flag(str, read=words_of)] = Field(
        None, description="Closed label set, with commas; default: found in the data."
    )
    target_type: Annotated[TargetType | None, Flag(str)] = Field(
        None, description="What the answers are: label, multi_label, number, json or text; default: found."
    )
    group: Annotated[str | None, Flag(str)] = Field(
        None, description="Column whose equal values stay in one split (customer, document); none: no column."
    )
    id: Annotated[str | None, Flag(str)] = Field(None, description="Column that must be unique; none: no column.")
    encoding: Annotated[str | None, Flag(str)] = Field(
        None, description="Encoding of the data, where it is not UTF-8: cp1252, gb18030."
    )
    delimiter: Annotated[str | None, Flag(str)] = Field(
        None, description="Separator of CSV and TSV, such as ';'; default: found."
    )
    skip_bad: Annotated[float, Flag(str, metavar="N%")] = Field(
        0.0, ge=0, le=0.5, description="Leave out so many rows that cannot be used, and list them: 2%."
    )
    split: Annotated[str | dict[str, float | Path] | None, Flag(str, read=split_of)] = Field(
        None, description="Shares of train, dev, test: 60/20/20; or the name of a split column."
    )
    volume: Annotated[float, Flag(float)] = Field(
        1000.0, gt=0, description="Requests a day that the winner will serve."
    )
    margin: Annotated[float, Flag(float)] = Field(
        0.01, ge=0, le=0.5, description="A difference below it does not matter: 0.01 is one point."
    )
    prompt: Annotated[tuple[Prompt | Path, ...], Flag(list[Path], read=tuple)] = Field(
        (), description="A file with your own prompt, to start from; repeatable."
    )
    budget: BudgetKeys | None = Field(None, description="Limit for each way.")
    ways: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Ways to try, with options.")
    inputs: tuple[str | dict[str, str], ...] | None = Field(
        None, min_length=1, description="The inputs themselves, in place of data: texts, or fields by name."
    )
    checks: dict[str, Any] | None = Field(None, description="What every answer must fulfil; needs no target.")
    judge: JudgeKeys | None = Field(None, description="A model that judges written answers by a rubric.")

    @property
    def options(self) -> dict[str, Any]:
        """The options of the run that are said."""
        return {name: value for name in declared() if (value := getattr(self, name)) is not None}

    @field_validator("input", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("labels", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        """YAML's true and false, as labels, are words."""
        many = isinstance(value, list | tuple)
        return [str(v).lower() if isinstance(v, bool) else v for v in value] if many else value

    @field_validator("skip_bad", mode="before")
    @classmethod
    def _share(cls, value: Any) -> Any:
        """`2%` and `0.02` are the same share."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
        if match:
            return float(match[1]) / 100
        if isinstance(value, int | float) and value >= 1:
            raise ValueError("give a share such as 2% or 0.02")
        return value

    @field_validator("metric", mode="before")
    @classmethod
    def _metric(cls, value: Any) -> Any:
        if value is None or isinstance(value, MetricSpec):
            return value
        spec = _metric_spec(value)
        if spec.name not in metrics.names():
            raise ValueError(f"unknown metric '{spec.name}'.{did_you_mean(spec.name, metrics.names())}")
        return spec

    @field_validator("prompt", mode="before")
    @classmethod
    def _prompt(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return (value,) if isinstance(value, str | Path) else value
        try:
            return (files.of_slots(value),)
        except DataError as error:
            raise ValueError(str(error)) from error

    @field_validator("checks")
    @classmethod
    def _checks(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and not value.get("function"):  # a file can be opened once its folder is known
            try:
                metrics.load(MetricSpec("checks", value))
            except OptionError as error:
                raise ValueError(str(error).removeprefix("metric checks: ")) from None
        return value

    @field_validator("split", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _canonical_split(value) if isinstance(value, dict) else value

    @field_validator("ways", mode="before")
    @classmethod
    def _ways(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return {str(name): {} for name in value}
        return {k: {} if v is None else v for k, v in value.items()} if isinstance(value, dict) else value

    @property
    def reading(self) -> ReadOptions:
        """How the data are to be read."""
        return ReadOptions(self.encoding, self.delimiter, self.skip_bad)


def flags() -> dict[str, tuple[Flag, str]]:
    """The keys that are flags of the command line: key -> how it is said, its help."""
    return {
        name: (flag, str(field.description))
        for name, field in Spec.model_fields.items()
        for flag in field.metadata
        if isinstance(flag, Flag)
    }


def read_spec(path: Path) -> Spec:
    """Read a task file, or the task.yaml of a folder. Its relative paths are relative to it.

    Raises:
        DataError: it is missing or broken, or a key is unknown; names file and line.
    """
    path = path / TASK_FILE if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"{path}: no such file. Write one (whichway init), or use --data, --input and --target.")
    values, marks = values_and_lines(path)
    if promptfoo.is_config(path):
        values, marks = promptfoo.spec_values(path), {}
    try:
        spec = Spec.model_validate(values)
    except ValidationError as error:
        at, message = _explain(error)
        line = next((marks[at[:n]] for n in range(len(at), -1, -1) if at[:n] in marks), 1)
        raise DataError(f"{path}:{line}: {message}") from None
    return rebased(spec, path.parent)


def from_flags(task: Path | None = None, **flags: Any) -> Spec:
    """The same from keyword arguments; None means not said. With a task file, flags go before its keys.

    Args:
        task: a task file or its folder.
        flags: the keys of a task file; paths are relative to the working folder.

    Raises:
        OptionError: a key is unknown or a value does not fit.
        DataError: the task file is at fault.
    """
    try:
        by_flags: Spec = Spec.model_validate({key: value for key, value in flags.items() if value is not None})
    except ValidationError as error:
        raise OptionError(f"--{_explain(error)[1]}") from None
    by_flags = rebased(by_flags, Path())
    if task is None:
        return by_flags
    spec: Spec = read_spec(task).model_copy(update={key: getattr(by_flags, key) for key in by_flags.model_fields_set})
    return spec


def _metric_spec(value: Any) -> MetricSpec:
    """A metric from a name, "file.py:function", or a mapping with a name and options beside it or under "options"."""
    if isinstance(value, str):
        return MetricSpec("python_function", {"function": value}) if ".py:" in value else MetricSpec(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ValueError("write a name, or {name: ..., options: {...}}")
    options = dict(value.get("options") or {})
    options |= {str(k): v for k, v in value.items() if k not in ("name", "options")}
    spec = _metric_spec(value["name"])
    return MetricSpec(spec.name, {**spec.options, **options})


def _canonical_split(value: Mapping[Any, Any]) -> dict[str, float] | dict[str, Path]:
    """Shares or files by split."""
    unknown = [key for key in value if key not in SPLIT_WORDS]
    if unknown:
        raise ValueError(f"unknown split '{unknown[0]}'.{did_you_mean(str(unknown[0]), ('train', 'dev', 'test'))}")
    parts: dict[str, Any] = {str(SPLIT_WORDS[key]): part for key, part in value.items()}
    if parts and all(isinstance(part, int | float) for part in parts.values()):
        return _shares(parts)
    if not all(isinstance(part, str | Path) for part in parts.values()):
        raise ValueError("give a share for each split, or a file for each")
    if "train" not in parts:
        raise ValueError("no train file")
    return {key: Path(part) for key, part in parts.items()}


def _shares(parts: Mapping[str, float]) -> dict[str, float]:
    """Shares that sum to one. A missing train or dev share is what remains; if nothing does, dev takes a fifth."""
    if any(not 0 < part < 1 for part in parts.values()):
        raise ValueError("shares must lie between 0 and 1, such as {train: 0.6, dev: 0.15, test: 0.25}")
    if "test" not in parts:
        raise ValueError("say the share of test; without a test split there is no verdict")
    rest = 1 - sum(parts.values())
    if rest < -1e-6 or (rest > 1e-6 and len(parts) == 3) or (rest < 1e-6 and "train" not in parts):
        raise ValueError("the shares of train, dev and test must sum to 1")
    test, dev = parts["test"], parts.get("dev")
    if dev is None:
        dev = rest if rest > 1e-6 and "train" in parts else (1 - test) / 5
    return {"train": 1 - test - dev, "dev": dev, "test": test}


def rebased(spec: Spec, folder: Path) -> Spec:
    """Join relative paths to the folder they are relative to. A model is a path when it exists there."""
    update: dict[str, Any] = {}
    if spec.data is not None:
        update["data"] = folder / spec.data.expanduser()
    if spec.unlabelled is not None:
        update["unlabelled"] = folder / spec.unlabelled.expanduser()
    if spec.prompt:
        update["prompt"] = tuple(p if isinstance(p, Prompt) else folder / p.expanduser() for p in spec.prompt)
    update |= {name: folder / value.expanduser() for name, value in spec.options.items() if isinstance(value, Path)}
    if isinstance(spec.split, dict):
        update["split"] = {k: folder / v if isinstance(v, Path) else v for k, v in spec.split.items()}
    if spec.model not in ("", "embedded") and (folder / spec.model).exists():
        update["model"] = str(folder / spec.model)
    if spec.models:
        update["models"] = tuple(str(folder / word) if (folder / word).exists() else word for word in spec.models)
    if spec.metric and spec.metric.name == "python_function" and "function" in spec.metric.options:
        file = (folder / str(spec.metric.options["function"])).absolute()
        update["metric"] = MetricSpec(spec.metric.name, {**spec.metric.options, "function": str(file)})
    if spec.checks and spec.checks.get("function"):
        update["checks"] = {**spec.checks, "function": str((folder / str(spec.checks["function"])).absolute())}
    if spec.judge and spec.judge.model != "embedded" and (folder / spec.judge.model).exists():
        update["judge"] = spec.judge.model_copy(update={"model": str(folder / spec.judge.model)})
    moved: Spec = spec.model_copy(update={key: value for key, value in update.items() if key in spec.model_fields_set})
    return moved


def _explain(error: ValidationError) -> tuple[tuple[str | int, ...], str]:
    """Where a value is wrong, and a sentence about it."""
    first = error.errors()[0]
    at = first["loc"]
    inner = {"budget": BudgetKeys.model_fields, "judge": JudgeKeys.model_fields}.get(str(at[0]) if at else "", {})
    key = ".".join(str(part) for part in at if part in Spec.model_fields or part in inner) or "task"
    if first["type"] == "extra_forbidden":
        known = inner if len(at) > 1 else Spec.model_fields
        inside = f" in {at[0]}" if len(at) > 1 else ""
        return at, f"unknown key '{at[-1]}'{inside}.{did_you_mean(str(at[-1]), known)}"
    if first["type"] == "missing":
        return at, f"{key} is missing."
    if first["type"] == "model_type" and not at:
        return at, "a task file holds keys and values, such as `data: tickets.csv`."
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return at, f"{key}: {reason}" + ("" if first["type"] == "value_error" else f", not {first['input']!r:.60}.")
