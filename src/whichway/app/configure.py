"""Build the components that a contest is given: ways, backends and metric found by name, the user's options read."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from whichway.app.combined_ways import check_parts
from whichway.app.plugins import Plugins
from whichway.app.request import RunRequest
from whichway.errors import ModelError, ModelMissing, OptionError
from whichway.nouns import Budget, Task, Weights, qualified_name, split_name

if TYPE_CHECKING:
    from whichway.contest import Components, Settings
    from whichway.contracts import Backend

DEFAULT_WAYS = ("base_majority", "base_tfidf", "prompt_plain", "prompt_shots", "tune_probe")
HEAD_WAY, LORA_WAY = "tune_head", "tune_lora"  # weights, with and without a closed set of labels
OPEN_WAYS: Mapping[str, Mapping[str, Any]] = {"prompt_plain": {"temperature": [0.0, 0.7, 1.0]}}  # no wanted answers
VARIANT = "~"  # "prompt_plain~0.7": a way with options of its own, beside other variants of it
DISTILL_WAY = "both_distill"  # a default way too, where there are rows for a teacher to label
ENCODER_WAY = "base_encoder"  # a default way too, where its encoder is on this machine
FULL = "tune_full"  # a default way too, for models small enough that it takes minutes
SMALL = 50_000_000  # parameters
LOCAL = "local"
ENDPOINTS = "openai"  # the backend of models behind an API


class Backends(Plugins):
    """The backends, each made once, when first asked for."""

    def __init__(self) -> None:
        super().__init__("whichway.backends", "whichway.backends")
        self._loaded: dict[str, Backend] = {}

    def __getitem__(self, name: str) -> Backend:
        if name not in self._loaded:
            module = super().__getitem__(name)
            self._loaded[name] = getattr(module, "backend", module)()
        return self._loaded[name]


def backends() -> Backends:
    """All backends: `backends/*.py`, each with a function `backend()`, and the entry points."""
    return Backends()


class Ways(Plugins):
    """The ways by name; `name~variant` stands for the way `name`."""

    def __init__(self) -> None:
        super().__init__("whichway.ways", "whichway.ways")

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name.partition(VARIANT)[0])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.partition(VARIANT)[0])


def ways() -> Plugins:
    """What can be tried: `ways/*.py` and the entry points."""
    return Ways()


def base_of(word: str, known_backends: Backends | None = None) -> Weights:
    """The weights that `--model` names: a word with a backend's name in front (`fake:delay=1`), or a local model.

    Args:
        word: the user's; "" is the default of models.yaml.
        known_backends: the backends.

    Raises:
        ModelError: there is no such model.
    """
    from whichway import models

    known_backends = known_backends or backends()
    return known_backends[backend_of(word, known_backends)].weights(models.name_of(word))


def backend_of(word: str, known_backends: Backends) -> str:
    """The name of the backend that answers for a user's word for a model; the model is not looked at."""
    from whichway import models
    from whichway.models import endpoints

    word = models.name_of(word)
    if endpoints.find(word) is not None:
        return ENDPOINTS
    name = word.partition(":")[0]
    return name if name in known_backends and not Path(word).exists() else LOCAL


def encoder_of(word: str, backends_by_name: Mapping[str, Backend]) -> Weights | None:
    """The sentence encoder that a word names; None where it must be fetched first, or where the word is "words".

    Args:
        word: "default" is the encoder that models.yaml names; else as for a model, or "words".
        backends_by_name: the backends.

    Raises:
        ModelError: there is no such encoder.
    """
    from whichway import models
    from whichway.models import shelf
    from whichway.prompts.nearest import DEFAULT, WORDS

    name = models.default_encoder() if word == DEFAULT else word
    if word == WORDS or (name in shelf.load().entries and models.here(name) is None):
        return None
    return backends_by_name["encoder"].weights(name)


def build(task: Task, warnings: Sequence[str]) -> Components:
    """The components of a contest on a task: ways, backends, metric, models.

    Raises:
        ModelError: the task's model cannot be used.
        OptionError: the metric is unknown, or the data are private and a model lies behind an API.
    """
    from whichway.app.hosted import about_hosted, hosted_of, prices_of, refuse_hosted
    from whichway.contest import Components
    from whichway.tasks import metrics

    known_backends = backends()
    bases = [_base(word, task, known_backends) for word in task.models or (task.model,)]
    judge = base_of(task.judge.model, known_backends) if task.judge else None
    hosted = hosted_of([*bases, *([judge] if judge else [])], known_backends)
    if task.options.get("private"):
        refuse_hosted(hosted)
    named = dict(zip(short_names([w.base for w in bases]), bases, strict=True)) if task.models else {}
    words = dict(zip(task.models or (task.model,), bases, strict=True))
    return Components(
        known_backends, ways(), metrics.load(task.metric), bases[0], (*warnings, *about_hosted(hosted)),
        models=named, words=words,
        checks=metrics.checks_of(task.checks), judge=judge,
        encoder_of=functools.partial(encoder_of, backends_by_name=known_backends), prices=prices_of(hosted),
        builder=f"{__name__}:rebuild",
    )  # fmt: skip


def _base(word: str, task: Task, known_backends: Backends) -> Weights:
    """A model of the contest; what is wrong with one that an option of a way names is said of that option's word."""
    try:
        return base_of(word, known_backends)
    except ModelMissing:
        raise  # it can be fetched
    except ModelError as error:
        raise (ModelError(f"teacher {word}: {error}") if word in task.teachers else error) from None


def rebuild(task: Task) -> Components:
    """The components of a contest in a process that works on a part of it; what the checks found is said already."""
    return build(task, ())


def short_names(words: Sequence[str]) -> list[str]:
    """A short name for each of several models: the last part of its path or hub name, numbered where two are alike.

    Raises:
        OptionError: a model is named twice.
    """
    from whichway.models import endpoints

    names: list[str] = []
    for place, word in enumerate(words):
        if word in words[:place]:
            raise OptionError(f"--model {word} is named twice.")
        name = re.sub(r"[^\w.-]+", "-", PurePath(endpoints.short_name(word)).name).strip("-.") or "model"
        alike = sum(other == name or re.fullmatch(rf"{re.escape(name)}-\d+", other) is not None for other in names)
        names.append(f"{name}-{alike + 1}" if alike else name)
    return names


def settings_for(task: Task, request: RunRequest, components: Components, folder: Path) -> Settings:
    """The settings of a contest: the request before the task, the task before the defaults.

    Raises:
        OptionError: an unknown way, an option that fits none, or a cap in dollars where a price is not known.
    """
    from whichway.app import prices
    from whichway.app.hosted import refuse_unpriced
    from whichway.contest import Settings
    from whichway.tasks.open_ended import REPEATS

    options: dict[str, Any] = {"repeats": REPEATS} if task.reference_free else {}
    options |= dict(task.options)
    if "price_per_hour" not in options:
        options["price_per_hour"] = prices.load().machine_usd_per_hour
    budget = _budget(task, request.budget)
    refuse_unpriced(components, budget)
    return Settings(
        ways=chosen_ways(task, request, components),
        cache=request.cache or folder.parent / ".cache",
        budget=budget,
        **options,
    )


def _budget(task: Task, requested: Budget) -> Budget:
    limits = {f.name: value for f in dataclasses.fields(requested) if (value := getattr(requested, f.name)) is not None}
    return dataclasses.replace(task.budget or Budget(), **limits)


def chosen_ways(task: Task, request: RunRequest, components: Components) -> dict[str, dict[str, Any]]:
    """Contestant (a way, with the model's name after it where there are several) -> options that are not its defaults.

    Raises:
        OptionError: an unknown way or option ("did you mean").
    """
    known = ways()
    if request.ways is not None:
        names = list(dict.fromkeys(name for word in request.ways for name in family(word, known)))
    else:
        names = list(task.ways) or (list(OPEN_WAYS) if task.reference_free else default_ways(task, components))
    for name in names:
        known.need(split_name(name)[0])
    prompts = {components.words[word]: named for word, named in task.teachers.items()}
    teachers = {short: prompts[base] for short, base in components.models.items() if base in prompts}
    chosen = {
        name: dict(task.ways.get(name, task.ways.get(split_name(name)[0], {})))
        for name in contestants(names, known, components, teachers)
    }
    for way, option, value in request.way_options:
        meant = [name for name in chosen if way in (name, split_name(name)[0])]
        if not meant:
            known.need(split_name(way)[0])
            raise OptionError(
                f"--set {way}.{option}: way '{way}' is not tried. Add it to --ways {','.join(names)},{way}"
            )
        for name in meant:
            chosen[name][option] = value
    if task.reference_free and request.ways is None and not task.ways:
        chosen = {name: {**OPEN_WAYS[split_name(name)[0]], **options} for name, options in chosen.items()}
    chosen = dict(pair for name, options in chosen.items() for pair in variants(name, options, known))
    check_parts(chosen, known)
    return chosen


def family(word: str, known: Mapping[str, Any]) -> list[str]:
    """`all-prompt`, `all-tune`, `all-both`, `all-base`: every way whose name starts so; other words are themselves."""
    kind = word.removeprefix("all-")
    return [way for way in known if way.startswith(f"{kind}_")] or [word] if word.startswith("all-") else [word]


def variants(name: str, options: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A way once for each combination of values where options that take one value were given several.

    `prompt_plain.temperature=0,0.7` gives prompt_plain~0 and prompt_plain~0.7: each has a budget and a line of its own.
    """
    way, at, model = name.partition("@")
    single = {f.name for f in dataclasses.fields(known[way].Options) if isinstance(f.default, str | int | float)}
    several = {key: value for key, value in options.items() if key in single and isinstance(value, list | tuple)}
    if not several:
        yield name, dict(options)
        return
    for values in product(*several.values()):
        chosen = dict(zip(several, values, strict=True))
        label = ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
        yield f"{way}{VARIANT if VARIANT not in way else ','}{label}{at}{model}", {**options, **chosen}


def contestants(
    names: Sequence[str], known: Plugins, components: Components, teachers: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """Each way once for each model: baselines, which need none, first; then all that is tried on the first model.

    A way that is named with its model ("tune_lora@small") is tried on this one only.

    Args:
        names: of ways.
        known: all ways.
        components: with the models.
        teachers: short name of a model that only teaches -> the prompting ways that are tried on it.
    """
    teachers = teachers or {}
    if not components.models:
        return list(names)
    free = [name for name in names if _needs_no_model(known[split_name(name)[0]])]
    names_in_order: dict[str, None] = dict.fromkeys(free)
    for model in components.models:
        for name in teachers.get(model, names):
            way, only = split_name(name)
            if name not in free and only in ("", model):
                names_in_order[qualified_name(way, model)] = None
    return list(names_in_order)


def _needs_no_model(way: Any) -> bool:
    return way.KIND == "baseline" or getattr(way, "OWN_MODEL", False)


def default_ways(task: Task, components: Components) -> list[str]:
    """The ways that are tried when none is named; all weights are trained only where it takes minutes.

    The sentence encoder is one of them where it is on this machine and there are labels for its head. Weights are tuned
    with a head over the labels where there are some: as good as `tune_lora` in half its time (`dev/LOG.md`).
    """
    from whichway.prompts.nearest import DEFAULT

    headed = task.labels or task.train_dev_view().multi_labels
    encoder = [ENCODER_WAY] if headed and components.encoder_of(DEFAULT) is not None else []
    ways = [way for name in DEFAULT_WAYS for way in ([name, *encoder] if name == "base_tfidf" else [name])]
    ways.append(HEAD_WAY if task.labels else LORA_WAY)
    ways += [DISTILL_WAY] if task.unlabelled else []
    small = [name for name, base in (components.models or {"": components.base}).items() if is_small(base)]
    full = [FULL] if len(small) == len(components.bases) else [qualified_name(FULL, name) for name in small]
    return [*ways, *full]


def is_small(base: Weights) -> bool:
    """Whether training all weights takes minutes rather than hours."""
    return base.backend == LOCAL and parameters(base.base) < SMALL


def parameters(base: str) -> int:
    """How many numbers the weights of a local model hold, counted from the files' headers."""
    from whichway import models
    from whichway.models import model_files

    return model_files.parameters(models.find(base))
