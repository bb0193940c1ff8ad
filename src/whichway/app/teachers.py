"""Teachers that options of ways name: a model joins the contest with its prompts, a way stands in it as well.

So a teacher is measured on the same test rows as its student, its price is known before anything is sent, its key is
looked for, and private data refuse it where it lies behind an API.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from whichway import models
from whichway.app.configure import VARIANT, family, short_names, ways
from whichway.app.request import RunRequest
from whichway.contracts import learns
from whichway.errors import OptionError, did_you_mean
from whichway.nouns import Task, split_name
from whichway.tasks.subjective import SOURCE, subjective_word

LABELS, WRITES = "both_distill", "both_synth"  # the ways that learn from what a model labelled, or wrote
TEACHER, STUDENT, PROMPTS = "teacher", "student", "prompts"  # keys of an option's metadata; the name of an option
FAMILIES = ("base_", "prompt_", "tune_", "both_")


def with_teachers(task: Task, request: RunRequest) -> tuple[Task, RunRequest]:
    """The task with the models that teach, the request with the ways that do.

    Raises:
        OptionError: a teacher or a student that no contest can have.
    """
    known = ways()
    if request.ways is None:
        names = list(task.ways)
    else:
        names = list(dict.fromkeys(name for word in request.ways for name in family(word, known)))
    words = [models.name_of(word) for word in task.models or (task.model,)]
    short = short_names(words)
    teachers: dict[str, tuple[str, ...]] = {}
    extra: list[str] = []
    for name in names:
        if _way_of(name) not in known:
            continue
        options = _options(name, task, request)
        _check_students(name, known, options)
        for teacher in _teachers(name, known, options):
            way, model = _parsed(teacher, known, short)
            if way:
                _check_way(name, way, known)
                extra += [teacher] if teacher not in (*names, *extra) else []
            elif models.name_of(model) not in (*words, *short):
                prompts = options.get(PROMPTS, _default(known[_way_of(name)], PROMPTS))
                teachers[model] = tuple(dict.fromkeys((*teachers.get(model, ()), *_several(prompts))))
    if teachers:
        task = dataclasses.replace(task, models=(*words, *teachers), teachers=teachers)
    return task, dataclasses.replace(request, ways=(*extra, *names)) if extra else request


def about_teachers(task: Task, chosen: Iterable[str]) -> Iterator[str]:
    """What a reader must know of the ways that teach: rows that nobody labels, a task on which people differ."""
    names = {_way_of(name) for name in chosen}
    if task.unlabelled and LABELS not in names:
        yield f"{len(task.unlabelled)} unlabelled rows are not used: {LABELS} labels them, and it is not tried."
    teaching = [name for name in (LABELS, WRITES) if name in names and (name == WRITES or task.unlabelled)]
    word = subjective_word(task) if teaching else ""
    if word:
        yield (
            f"{' and '.join(teaching)}: the task looks subjective ('{word}'). Where people differ, students of a "
            f"model's labels or rows fall behind those of people's ({SOURCE}): have more rows labelled by people, and "
            "read the student's score beside that of the same training on your rows alone."
        )


def _way_of(name: str) -> str:
    return split_name(name)[0].partition(VARIANT)[0]


def _options(name: str, task: Task, request: RunRequest) -> dict[str, Any]:
    """What is said about a way: the request before the task."""
    way = split_name(name)[0]
    set_here = [(option, value) for one, option, value in request.way_options if one in (name, way)]
    return {**task.ways.get(name, task.ways.get(way, {})), **dict(set_here)}


def _teachers(name: str, known: Mapping[str, Any], options: Mapping[str, Any]) -> list[str]:
    """The teachers that a way is to have; one whose backend is named apart is the way's own affair."""
    fields = _marked(known[_way_of(name)], TEACHER)
    words = [str(word) for field in fields for word in _several(options.get(field, "")) if word]
    return [] if options.get("teacher_backend") else words


def _marked(way: Any, mark: str) -> list[str]:
    return [field.name for field in dataclasses.fields(way.Options) if field.metadata.get(mark)]


def _default(way: Any, option: str) -> Any:
    return next((field.default for field in dataclasses.fields(way.Options) if field.name == option), ())


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _parsed(teacher: str, known: Mapping[str, Any], short: Sequence[str]) -> tuple[str, str]:
    """Way and model of a teacher: a way alone, a way on one of the contest's models, or a model.

    Raises:
        OptionError: what looks like a way is none.
    """
    way, model = split_name(teacher)
    if way in known and (not model or model in short):
        return way, model
    if way.startswith(FAMILIES) and not model:
        raise OptionError(f"teacher {teacher}: there is no such way.{did_you_mean(way, known)}")
    return "", teacher


def _check_way(name: str, teacher: str, known: Mapping[str, Any]) -> None:
    if _way_of(name) == WRITES:
        raise OptionError(f"{name}: {teacher} is a way, and a model is needed that writes. Name one, or leave it out.")
    if known[teacher].KIND == "both" or not getattr(known[teacher], "LEARNS", True):
        raise OptionError(f"{name}: {teacher} cannot teach. Name a model, or a way of another kind: tune_encoder.")


def _check_students(name: str, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    for field in _marked(known[_way_of(name)], STUDENT):
        for student in map(str, _several(options.get(field, ""))):
            if student and (student not in known or not learns(known[student])):
                tuned = [way for way in known if learns(known[way])]
                raise OptionError(f"{name}.{field}={student}: no way that is trained.{did_you_mean(student, tuned)}")
