"""Everything that is fixed before the first call, and the comparison that guards a run folder against another plan."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import whichway
from whichway.contracts import Backend, Metric, Rounds, Way
from whichway.errors import DataError, OptionError, did_you_mean
from whichway.nouns import Budget, Example, Plan, Task, Weights, digest, split_name, to_json
from whichway.options import RunOptions, declared, defaults
from whichway.prompts.nearest import WORDS
from whichway.scoring import row_variance
from whichway.tasks.folds import all_rows, dev_fold
from whichway.training_kinds import INT8, stored_as
from whichway.verdict import sample_size, stats
from whichway.verdict.breakeven import Price


def _no_encoder(word: str) -> Weights | None:
    """No encoder, whatever the word: the default where there are no sentence encoders."""


@dataclass(frozen=True, slots=True)
class Components:
    """What a contest is given: backends, ways, the metric, and the models under trial."""

    backends: Mapping[str, Backend]
    ways: Mapping[str, Way]
    metric: Metric
    base: Weights
    warnings: tuple[str, ...] = ()  # what the checks of the task found
    checks: Callable[[Example, str], Mapping[str, float]] | None = None  # an answer's checks by name, where it has any
    judge: Weights | None = None  # who judges written answers, where the task names a judge
    models: Mapping[str, Weights] = field(default_factory=dict)  # short name -> base, where several are under trial
    encoder_of: Callable[[str], Weights | None] = _no_encoder  # the encoder that a word names, where it is at hand
    words: Mapping[str, Weights] = field(default_factory=dict)  # the user's word for a model under trial -> the model
    # the word of each model behind an API -> its prices per token; None where they are not known
    prices: Mapping[str, Price | None] = field(default_factory=dict)
    # backends of one contestant, where they are its own (in a dry run each knows whose calls it counts)
    backends_of: Callable[[str], Mapping[str, Backend]] | None = None

    builder: str = ""  # `module:function` that gives the same for a task in another process; "": there is none

    def backends_for(self, name: str) -> Mapping[str, Backend]:
        """The backends that a contestant works with."""
        return self.backends if self.backends_of is None else self.backends_of(name)

    def price_of(self, weights: Weights) -> Price | None:
        """Prices per token; None where an answer costs its seconds at this machine's price."""
        price = self.prices.get(weights.base)
        return price if price is None or not stored_as(weights.kind, "hosted") else price.tuned

    def base_of(self, name: str) -> Weights:
        """The model that a contestant is tried on."""
        model = split_name(name)[1]
        return self.models[model] if model else self.base

    def model(self, word: str) -> Weights:
        """A model of the contest by its short name or the user's word for it.

        Raises:
            OptionError: the contest has no such model.
        """
        known = {base.base: base for base in self.bases} | dict(self.words) | dict(self.models)
        if word not in known:
            raise OptionError(f"the contest has no model '{word}'.{did_you_mean(word, known)}")
        return known[word]

    @property
    def bases(self) -> tuple[Weights, ...]:
        """All models under trial."""
        return tuple(self.models.values()) or (self.base,)


@dataclass(frozen=True, slots=True)
class Settings(RunOptions):
    """The user's choices about the contest itself: the declared options, the ways, the cache and the budget."""

    ways: Mapping[str, Mapping[str, Any]]  # way -> options that differ from the defaults
    cache: Path
    budget: Budget = field(default_factory=Budget)


def fill_options(name: str, way: Way, values: Mapping[str, Any]) -> Any:
    """The way's options with defaults filled in.

    Raises:
        OptionError: an option that the way does not have, a value of another type than its default, or a number out of
            its range: negative, not finite, or as the field's metadata say ("least", "above", "below", "most").
    """
    from pydantic import TypeAdapter, ValidationError

    fields = {f.name: f for f in dataclasses.fields(way.Options)}
    for key in values:
        if key not in fields:
            raise OptionError(f"way '{name}' has no option '{key}'.{did_you_mean(key, fields)}")
    as_tuples = {
        key: (v,) if isinstance(fields[key].default, tuple) and not _many(v) else v for key, v in values.items()
    }
    try:
        options: Any = TypeAdapter(way.Options).validate_python(as_tuples)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (name, *first["loc"]))
        raise OptionError(f"option '{where}': {first['msg']}; got {first['input']!r}") from error
    for key in values:
        _check_range(f"{name}.{key}", getattr(options, key), fields[key].metadata)
    floors = [key for key, f in fields.items() if f.metadata.get("off_with") in values and key not in values]
    return dataclasses.replace(options, **dict.fromkeys(floors, 0))  # what is set is done


def _check_range(where: str, value: Any, limits: Mapping[str, Any]) -> None:
    """Refuse a number, or one of several, that no way could mean."""
    several = value if _many(value) else (value,)
    if not several and ("least" in limits or "above" in limits):
        raise OptionError(f"option '{where}' wants one number at least")
    for number in several:
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        least, above, below = limits.get("least", 0), limits.get("above", -math.inf), limits.get("below", math.inf)
        most = limits.get("most", math.inf)
        if math.isfinite(number) and least <= number <= most and above < number < below:
            continue
        wanted = f"above {above:g}" if "above" in limits else f"{least:g} or more"
        wanted += f" and below {below:g}" if "below" in limits else ""
        wanted += f" and at most {most:g}" if "most" in limits else ""
        raise OptionError(f"option '{where}' wants a number that is {wanted}; got {number:g}")


def _many(value: Any) -> bool:
    return isinstance(value, list | tuple)


def make_plan(task: Task, components: Components, settings: Settings) -> Plan:
    """The plan of a run: everything that is fixed before the first call.

    Raises:
        OptionError: an unknown way or option.
    """
    ways = _filled_ways(components, settings)
    splits, rows = _splits(task)
    return Plan(
        task=task.name,
        ask=task.ask,
        metric=task.metric,
        labels=task.labels,
        splits=splits,
        rows=rows,
        model=components.base.base,
        revision=components.base.revision,
        ways=ways,
        seeds=settings.seeds,
        budget=settings.budget,
        volume=task.volume,
        margin=task.margin,
        confidence=settings.confidence,
        price_per_hour=settings.price_per_hour,
        versions=_versions(components, ways),
        smallest_gap=smallest_gap(task, components.metric, len(ways), len(settings.seeds)),
        warnings=components.warnings,
        race=settings.race,
        curve=_curve(settings.curve, len(task.train)),
        repeats=settings.repeats,
        models={name: {"model": w.base, "revision": w.revision} for name, w in components.models.items()},
        general=digest(_text(settings.general)) if settings.general else "",
        checks=task.checks,
        judge=task.judge,
        until=settings.until,
        prompts=task.prompts,
        options=_others(settings),
        metric_title=components.metric.title,
        paired="score",
        spread="bootstrap" if components.metric.aggregate == "mean" else "jackknife",  # a mean needs neither
        pricing="work",
        metric_plain=components.metric.plain,
        prices=_prices(components, ways),
        folds=max(1, len(task.folds)),
        foldable=task.foldable and not task.extra_train,
        precision=INT8 if settings.precision == INT8 else "",
        timed=settings.minutes is not None,
        unlabelled=_unlabelled(task),
    )


def smallest_gap(task: Task, metric: Metric, ways: int, seeds: int) -> float | None:
    """The smallest difference that a contest finds nine times of ten, if seeds differ by 2 points.

    Args:
        task: in three splits, or with folds.
        metric: of the task.
        ways: that compete.
        seeds: of a random way, on a single split.
    """
    tested = all_rows(task) or task.test
    clusters, variance = len({e.group or e.id for e in tested}), row_variance(metric, tested)
    return sample_size.detectable_gap(clusters, ways, seeds, stats.SEED_SD, variance, folds=max(1, len(task.folds)))


def _unlabelled(task: Task) -> dict[str, Any]:
    rows = task.unlabelled
    return {"rows": len(rows), "digest": digest([e.id for e in rows])} if rows else {}


def _filled_ways(components: Components, settings: Settings) -> dict[str, Any]:
    """Contestant -> all its options, defaults filled in."""
    ways = {}
    for name, options in settings.ways.items():
        way, model = split_name(name)
        if way not in components.ways:
            raise OptionError(f"there is no way '{way}'.{did_you_mean(way, components.ways)}")
        if model and model not in components.models:
            raise OptionError(f"there is no model '{model}' for {way}.{did_you_mean(model, components.models)}")
        ways[name] = to_json(fill_options(name, components.ways[way], options))
    return ways


def _splits(task: Task) -> tuple[dict[str, str], dict[str, int]]:
    """Digest and number of the rows of each split; with folds the numbers are those of a mean fold, all of test."""
    if not task.folds:
        sides = {"train": task.train, "dev": task.dev, "test": task.test}
        digests = {name: digest([e.id for e in examples]) for name, examples in sides.items()}
        return digests, {name: len(examples) for name, examples in sides.items()}
    count, extra = len(task.folds), task.extra_train
    parts = [_ids(fold) for fold in task.folds]
    devs = [dev_fold(fold, count) for fold in range(count)]
    trains = ([k for k in range(count) if k not in (fold, dev)] for fold, dev in enumerate(devs))
    digests = {
        "train": _digest_of_lists([*(parts[k] for k in train), *([_ids(extra)] if extra else [])] for train in trains),
        "dev": _digest_of_lists([parts[dev]] for dev in devs),
        "test": _digest_of_lists([part] for part in parts),
    }
    whole = sum(map(len, task.folds))
    means = {"train": round((whole * (count - 2) + count * len(extra)) / count), "dev": round(whole / count)}
    return digests, {**means, "test": whole}


def _ids(rows: Sequence[Example]) -> bytes:
    """The ids of rows as they stand in a list in JSON: hexadecimal, so that nothing is escaped."""
    return ",".join(f'"{e.id}"' for e in rows).encode()


def _digest_of_lists(lists: Iterable[Sequence[bytes]]) -> str:
    """`digest` of lists of ids, each given in parts: of many rows in many folds no text of all of them is made."""
    whole = hashlib.sha256(b"[")
    for number, parts in enumerate(lists):
        whole.update((b"," if number else b"") + b"[" + b",".join(parts) + b"]")
    whole.update(b"]")
    return whole.hexdigest()[:16]


def _others(settings: Settings) -> dict[str, Any]:
    """Options without a field of their own in the plan, where they are not at their defaults."""
    own = {f.name for f in dataclasses.fields(Plan)}
    values = {name: getattr(settings, name) for name, about in declared().items() if about.planned and name not in own}
    return {name: to_json(value) for name, value in values.items() if value != defaults()[name]}


def values_before(components: Components, ways: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Way -> option -> what runs did before the option or its default existed: its `before`, else its default."""
    return {
        name: {
            option.name: to_json(option.metadata.get("before", option.default))
            for option in dataclasses.fields(components.ways[split_name(name)[0]].Options)
            if option.default is not dataclasses.MISSING
        }
        for name in ways
        if split_name(name)[0] in components.ways
    }


def continued(settings: Settings, components: Components, begun: Mapping[str, Any]) -> Settings:
    """The settings of a run that goes on: an option or a default that is younger than its plan is left as it was.

    One that was begun against the clock stays so; without minutes it goes on to its end.

    Args:
        settings: of this start; what the user sets stays set.
        components: whose ways have the options.
        begun: the plan of the run's first start; {} where there was none.
    """
    before = values_before(components, settings.ways)
    ways = {name: dict(options) for name, options in settings.ways.items()}
    for name, known in begun.get("ways", {}).items():
        for option, value in before.get(name, {}).items():
            if name in ways and known.get(option, value) == value:
                ways[name].setdefault(option, value)
    precision = settled_precision(settings.precision, components, begun)
    endless = begun.get("timed", False) and settings.minutes is None
    minutes = math.inf if endless else settings.minutes
    return dataclasses.replace(settings, ways=ways, minutes=minutes, precision=precision)


def settled_precision(precision: str, components: Components, begun: Mapping[str, Any]) -> str:
    """What the option `precision` comes to: what a begun run has, or int8 where all models train faster with it here.

    Args:
        precision: as the user says it; "auto" is settled.
        components: with the models under trial.
        begun: the plan of the run's first start; {} where there was none.
    """
    if precision != "auto":
        return precision
    if begun:
        return str(begun.get("precision", "fp32"))
    backends = [(components.backends[base.backend], base) for base in components.bases]
    rounds = all(isinstance(backend, Rounds) and backend.rounds(base) for backend, base in backends)
    return INT8 if rounds else "fp32"


def trains_hosted(components: Components, ways: Iterable[str]) -> list[str]:
    """Those of some contestants that have a service train a hosted model, for a price."""
    return [name for name in ways if getattr(components.ways[split_name(name)[0]], "TRAINS_HOSTED", False)]


def _prices(components: Components, ways: Iterable[str]) -> dict[str, Price | None]:
    """Prices of hosted models by their word; those of trainings only where some way trains there."""
    if trains_hosted(components, ways):
        return dict(sorted(components.prices.items()))
    plain = {
        word: price and dataclasses.replace(price, training=None, tuned=None)
        for word, price in components.prices.items()
    }
    return dict(sorted(plain.items()))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as plain text: {error}. Give another file with --general.") from None


def _curve(sizes: tuple[int, ...], rows: int) -> tuple[int, ...]:
    if any(not 2 <= size <= rows for size in sizes):
        raise OptionError(f"curve: give numbers from 2 to the {rows} training rows, got {', '.join(map(str, sizes))}.")
    return tuple(sorted(set(sizes)))


def _versions(components: Components, ways: Mapping[str, Any]) -> dict[str, str]:
    """Ours, and those of the libraries that can change an answer."""
    backends = {base.backend for base in components.bases}
    used = backends | ({"classical"} if any(w.startswith("base_") for w in ways) else set())
    encoders = _encoders(components, ways)
    used |= {encoder.backend for encoder in encoders.values() if encoder is not None}
    versions = {name: b.version for name, b in components.backends.items() if name in used}
    if "local" in backends:
        versions |= {library: version(library) for library in ("torch", "transformers", "peft", "tokenizers")}
    versions |= {f"encoder {word}": weights.revision if weights else "not here" for word, weights in encoders.items()}
    versions |= {"judge": f"{components.judge.backend} {components.judge.revision}"} if components.judge else {}
    return {"whichway": whichway.__version__, "python": platform.python_version(), **versions}


def _encoders(components: Components, ways: Mapping[str, Any]) -> dict[str, Weights | None]:
    """The sentence encoders that options of ways name, by the user's word; None where one is not at hand."""
    words = {
        str(options[option.name])
        for name, options in ways.items()
        for option in dataclasses.fields(components.ways[split_name(name)[0]].Options)
        if option.metadata.get("encoder")
    }
    return {word: components.encoder_of(word) for word in sorted(words - {WORDS})}
