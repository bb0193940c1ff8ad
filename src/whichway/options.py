"""What may be said about a run. Each option is declared once, here: its flag, its key in a task file, its Python
argument and its place in the plan follow from the declaration.

A new option is a field of `RunOptions` and the line that uses it (`settings.NAME` in the contest). One that is not at
its default stands in the plan under `options`, so that a run folder is never continued under another one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from whichway.errors import OptionError

MODEL_HELP = (
    "A name of `whichway models`, a model folder, a .gguf file, ollama:NAME, lmstudio:NAME, vllm:NAME, a hub name, or "
    "'fake'"
)
PRECISIONS = ("fp32", "int8", "auto")
AUTO = 0  # folds: as many as suit the rows


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of an option besides its name, type and default.

    Attributes:
        help: a sentence for `--help`.
        kind: the type of its flag's value, where it is another than the field's.
        metavar: what stands for the value in `--help`.
        least: the smallest value allowed.
        most: the largest.
        read: from what users write to the value; raises ValueError with what to write instead.
        planned: whether the plan fixes it; a run may go on under another value of one that is not.
    """

    help: str
    kind: Any = None
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    read: Callable[[Any], Any] | None = None
    planned: bool = True


def option(default: Any, help: str, **facts: Any) -> Any:  # noqa: A002 - the word of every option parser
    """A field of a dataclass that is an option; `facts` are those of `Declaration`."""
    return field(default=default, metadata={"declaration": Declaration(help, **facts)})


def seeds_of(value: Any) -> Any:
    """`3` is the seeds 0, 1, 2; several numbers are the seeds themselves."""
    if isinstance(value, bool) or not isinstance(value, int):
        if not isinstance(value, str) and isinstance(value, Iterable):
            seeds = tuple(value)
            if seeds and all(isinstance(seed, int) for seed in seeds) and len(set(seeds)) == len(seeds):
                return seeds
        raise ValueError("write how many seeds, such as 3")
    if value < 1:
        raise ValueError("at least one seed is needed")
    return tuple(range(value))


def sizes_of(value: Any) -> Any:
    """`8,16,32`, or a list, as numbers of training rows."""
    words = [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value
    try:
        sizes = tuple(int(str(word)) for word in words)
    except (TypeError, ValueError):
        sizes = (0,)
    if (isinstance(value, str) and not sizes) or any(size < 1 for size in sizes):
        raise ValueError("write numbers of training rows with commas, such as 8,16,32,64")
    return sizes


def folds_of(value: Any) -> Any:
    """`auto`, 1 or a number of folds from 3 on."""
    if value == "auto":
        return AUTO
    try:
        count = int(str(value))
    except ValueError:
        count = 0
    if isinstance(value, bool) or count < 1 or count == 2:
        raise ValueError("write auto, 1 for a single split, or a number of folds from 3 on, such as 5")
    return count


def minutes_of(value: Any) -> float:
    """A number above 0."""
    try:
        minutes = float(value)
    except (TypeError, ValueError):
        minutes = 0.0
    if isinstance(value, bool) or not 0 < minutes < float("inf"):
        raise ValueError("give a number above 0")
    return minutes


def precision_of(value: Any) -> str:
    """`auto`, `int8` or `fp32`."""
    if value not in PRECISIONS:
        raise ValueError(f"write one of {', '.join(PRECISIONS)}")
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The user's choices about a run, apart from its ways, its budget and its places."""

    seeds: tuple[int, ...] = option(
        (0, 1, 2), "Seeds for ways that are random; default 3.", kind=int, least=1, read=seeds_of
    )
    folds: int = option(
        AUTO, "Every row is test once, in so many folds; 1: a single split; default: 5 from 60 to 1,000 rows of yours.",
        kind=str, metavar="K", read=folds_of,
    )  # fmt: skip
    confidence: float = option(0.95, "Of the intervals; default 0.95.", least=0.5, most=0.999)
    price_per_hour: float = option(0.10, "Dollars an hour of this machine costs; default: the price file's.", least=0)
    race: bool = option(True, "Let every candidate answer every dev row, also those that cannot win.")
    curve: tuple[int, ...] = option(
        (), "Learning curves: fit every way on so many training rows as well.",
        kind=str, metavar="N,N,...", read=sizes_of,
    )  # fmt: skip
    repeats: int = option(1, "Answers to each test row, where a candidate draws them; default 1.", least=1)
    until: float | None = option(None, "Stop a training when its dev score reaches this: 0.92.", least=0, most=1)
    forgetting: bool = option(True, "Do not measure what fine-tuning made the model forget of plain text.")
    minutes: float | None = option(
        None, "End after so many minutes with a verdict from what stands; the same command with more goes on.",
        kind=float, read=minutes_of, planned=False,
    )  # fmt: skip
    precision: str = option(
        "fp32", "Of frozen weights' products in trainings: fp32, int8, or auto: int8 where this machine gains by it.",
        read=precision_of, metavar="fp32|int8|auto",
    )  # fmt: skip
    shards: int | None = option(
        None, "Processes (cards) that share a model's weights in trainings of adapters and heads; default: one, or all "
        "cards where one does not hold the model.", kind=int, least=1, planned=False,
    )  # fmt: skip
    executor: str = option(
        "", "Who works on the parts of the contest: local (processes here), ray, slurm; default: this process.",
        metavar="NAME", planned=False,
    )  # fmt: skip
    workers: int | None = option(
        None, "Parts at a time with --executor; default: as cores and memory allow.", kind=int, least=1, planned=False
    )
    ray_address: str = option(
        "", "Of a Ray cluster, for --executor ray; default: one that is started here.", metavar="ADDRESS", planned=False
    )
    track: str = option(
        "", "Hand the finished run to a tracker: mlflow, wandb or tensorboard.", metavar="NAME", planned=False
    )
    private: bool = option(False, "The data stay here: refuse models behind an API.")
    general: Path | None = option(None, "Plain text on which forgetting is measured; default: a text that comes along.")


def declared(kind: type = RunOptions) -> dict[str, Declaration]:
    """The options of a dataclass by name, in order."""
    fields = dataclasses.fields(kind)
    return {f.name: f.metadata["declaration"] for f in fields if "declaration" in f.metadata}


def defaults(kind: type = RunOptions) -> dict[str, Any]:
    """The default of each option."""
    return {f.name: f.default for f in dataclasses.fields(kind) if "declaration" in f.metadata}


def flag(name: str, kind: type = RunOptions) -> str:
    """An option's flag: its name with dashes; one that is on by default is switched off."""
    word = name.replace("_", "-")
    return f"--no-{word}" if defaults(kind)[name] is True else f"--{word}"


def checked(name: str, kind: type = RunOptions) -> Any:
    """The type of an option as pydantic checks it: read, then held against type and range."""
    from pydantic import BeforeValidator, Field

    declaration = declared(kind)[name]
    parts: list[Any] = []
    if declaration.read is not None:
        parts.append(BeforeValidator(declaration.read))
    elif declaration.least is not None or declaration.most is not None:
        parts.append(Field(ge=declaration.least, le=declaration.most))
    hint = get_type_hints(kind)[name]
    return Annotated[(hint, *parts)] if parts else hint


def read_options(values: Mapping[str, Any], kind: type = RunOptions) -> dict[str, Any]:
    """Options as users write them, checked. What is None was not said.

    Raises:
        OptionError: a value does not fit.
    """
    from pydantic import TypeAdapter, ValidationError

    options_read = {}
    for name, option_value in values.items():
        if option_value is None:
            continue
        try:
            options_read[name] = TypeAdapter(checked(name, kind)).validate_python(option_value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ").removeprefix("Input ")
            raise OptionError(f"{flag(name, kind)} {option_value}: {reason}.") from None
    return options_read
