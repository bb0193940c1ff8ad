"""Models on this machine: list, fetch, show, remove; and what a task's models still lack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from whichway.errors import ModelError, ModelMissing
from whichway.training_kinds import KINDS

if TYPE_CHECKING:
    from whichway.models.fetch import Progress
    from whichway.models.shelf import ShelfEntry
    from whichway.models.speed import Speed
    from whichway.nouns import Weights
    from whichway.runs.run import Run

PLAIN, PROBE = "prompt_plain", "a probe"
VLLM = "vllm:"  # before a word for a local model: a server answers for it
LOCAL = ("local", "encoder")  # backends whose models lie on this machine


class Dialogue(Protocol):
    """Who is asked before something is fetched, and told how it goes."""

    def confirm(self, entries: Sequence[ShelfEntry]) -> bool | None:
        """Whether these may be fetched; None where the user cannot be asked."""
        ...

    def accept(self, entry: ShelfEntry) -> bool | None:
        """Whether the terms of a model are accepted; None where the user cannot be asked."""
        ...

    def watch(self, progress: Progress) -> None:
        """Hear how far a fetch is."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A model of the shelf as it stands on this machine."""

    entry: ShelfEntry
    folder: Path | None  # None: it was not fetched yet
    disk_mb: float  # that it takes here
    speed: Speed | None


def listing() -> list[Listed]:
    """Every model of the shelf."""
    from whichway.models import fetch, model_cache, shelf, speed

    models = []
    for entry in shelf.load().entries.values():
        folder = fetch.here(entry)
        size = model_cache.bytes_of(folder) / 1e6 if folder is not None else 0.0
        models.append(Listed(entry, folder, size, speed.of(entry.name)))
    return models


def elsewhere() -> Iterator[tuple[str, Path]]:
    """Words for models that other programs keep on this disk, with their place."""
    from whichway.models import stores

    yield from ((f"{stores.OLLAMA}:{name}", place) for name, place in stores.ollama())
    yield from ((f"{stores.LMSTUDIO}:{name}", place) for name, place in stores.lmstudio())


def converted() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """GGUF files of the user's that were converted into the model cache: the name there, and where each came from."""
    from whichway.models import model_cache, shelf

    for name in model_cache.names():
        facts = model_cache.origin(name)
        if facts is not None and name not in shelf.load().entries:
            yield name, facts


def fetch(names: Sequence[str], accepted: Sequence[str], dialogue: Dialogue) -> list[tuple[str, Path]]:
    """Fetch models of the shelf; those that are here already are left as they are.

    Args:
        names: of entries.
        accepted: names of terms that are accepted.
        dialogue: asked before anything is fetched; where nobody can be asked, the call itself is the consent.

    Raises:
        ModelError: there is no such entry, its terms are not accepted, or it could not be fetched.
        DiskError: the disk is full.
    """
    from whichway.models import fetch as room
    from whichway.models import shelf

    entries = [shelf.load().need(name) for name in dict.fromkeys(names)]
    missing = [entry for entry in entries if room.here(entry) is None]
    terms = {*accepted, *_accepted(missing, accepted, dialogue)}
    for entry in missing:
        room.check_terms(entry, terms)
    if missing and dialogue.confirm(missing) is False:
        raise ModelError("Nothing was fetched.")
    return [(entry.name, room.fetch(entry, terms, dialogue.watch)) for entry in entries]


def _accepted(entries: Sequence[ShelfEntry], accepted: Sequence[str], dialogue: Dialogue) -> Iterator[str]:
    """Terms that are accepted when asked for."""
    for entry in entries:
        if entry.terms and entry.terms not in accepted and dialogue.accept(entry):
            yield entry.terms


def ensure(words: Sequence[str], dialogue: Dialogue) -> None:
    """Fetch models of the shelf that are needed and not here yet, after asking.

    Where something has to be fetched at all, the sentence encoder of the shelf is part of the question: the baselines
    and the choice of examples are better with it.

    Args:
        words: names on the shelf; "" is the default.
        dialogue: asked before anything is fetched.

    Raises:
        ModelMissing: nobody can be asked; names the command that fetches.
        ModelError: the answer was no, or nothing could be fetched.
        DiskError: the disk is full.
    """
    from whichway import models
    from whichway.models import fetch as room
    from whichway.models import shelf
    from whichway.models.resolve import missing

    need = shelf.load().need
    entries = [need(name) for name in dict.fromkeys(models.name_of(word) for word in words)]
    lacking = [entry for entry in entries if room.here(entry) is None]
    if not lacking:
        return
    terms = set(_accepted(lacking, (), dialogue))
    for entry in lacking:
        room.check_terms(entry, terms)
    encoder = need(models.default_encoder())
    also = [encoder] if encoder not in lacking and room.here(encoder) is None and not encoder.terms else []
    answer = dialogue.confirm([*lacking, *also])
    if answer is None:
        raise ModelMissing(missing(lacking[0]), lacking[0].name)
    if not answer:
        raise ModelError("Nothing was fetched. Name another model with --model: a folder, a .gguf file, or embedded.")
    for entry in lacking:
        room.fetch(entry, terms, dialogue.watch)
    for entry in also:
        with suppress(ModelError):  # it goes without
            room.fetch(entry, (), dialogue.watch)


def show(word: str) -> Iterator[tuple[str, str]]:
    """What is known of a model, as pairs of a heading and a text.

    Raises:
        ModelError: there is no such model.
    """
    from whichway import models
    from whichway.app.hosted_models import endpoint_facts
    from whichway.models import endpoints, model_cache, model_files, shelf, speed
    from whichway.models.resolve import to_convert

    word = word or models.default()
    endpoint = endpoints.find(word)
    if endpoint is not None:
        yield from endpoint_facts(endpoint)
        return
    served = word.startswith(VLLM)
    if served:
        word = word.removeprefix(VLLM)
        yield "asked by", "a server of vLLM, which is started when it is needed"
    entry = shelf.load().entries.get(word)
    if entry is not None:
        yield "what", entry.what
        yield "licence", entry.licence + (f" ({entry.terms_url})" if entry.terms else "")
    folder = models.here(word)
    if folder is None and entry is None:
        file = to_convert(word)
        if file is None:
            raise ModelError(f"There is no model {word} on this machine. See: whichway models")
        yield "file", f"{file}, {file.stat().st_size / 1e6:.0f} MB, converted at its first use"
        return
    if entry is not None:
        yield "parameters", amount(entry.parameters)
    if folder is None:
        yield "here", f"no: whichway models fetch {word}"
    else:
        if entry is None:
            yield "parameters", amount(model_files.parameters(folder))
        yield "here", f"{folder}, {model_cache.bytes_of(folder) / 1e6:.0f} MB"
        yield "revision", model_files.files_digest(folder)
        facts = model_cache.origin(folder.parent.name) if model_cache.folder(folder.parent.name) == folder else None
        if facts is not None:
            yield "from", f"{facts.get('source', 'unknown')}, {facts.get('fetched', '')}"
    for place, source in enumerate(entry.sources if entry else (), 1):
        yield f"source {place}", f"{source.title}, {source.fetch_mb:.0f} MB"
    took = None if served else speed.of(word)
    if took is not None:
        on = f"{took.way} on {took.task}, {f'{took.rows} rows, ' if took.rows else ''}{took.measured}"
        yield "speed", f"{seconds(took)} s for 1,000 rows here ({on})"


def seconds(speed: Speed) -> str:
    """Seconds for a thousand rows, three digits of them: "1,078", "31.1"."""
    took = speed.seconds_per_1000
    return f"{took:,.0f}" if took >= 100 else f"{took:.3g}"


def amount(count: int) -> str:
    """A number of parameters for a reader: "134.5 M"."""
    return f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"


def remove(name: str) -> int:
    """Take a model out of the model cache; the bytes that are free again.

    Raises:
        ModelError: it is not in the cache.
    """
    from whichway.models import model_cache, shelf

    entry = shelf.load().entries.get(name)
    if entry is not None and entry.built_in:
        raise ModelError(f"{name} ships with the package; it cannot be removed.")
    known = [*shelf.load().entries, *model_cache.names()]
    if name not in known:
        raise ModelError(f"There is no '{name}' in the model cache {model_cache.root()}. See: whichway models")
    size = model_cache.remove(name)
    if not size:
        raise ModelError(f"{name} is not on this machine, so there is nothing to remove.")
    return size


def keep_speeds(run: Run) -> None:
    """Keep in the model cache what answering with each bare language model and each encoder took in a finished run."""
    from whichway.models import speed

    candidates, task = run.candidates, str(run.plan_data["task"])
    lines = sorted(run.verdict.standings, key=lambda s: (not s.way.startswith(PLAIN), s.seconds_per_row))
    recorded: set[str] = set()
    for line in lines:
        candidate = next((candidates[key] for key in line.candidates if key in candidates), None)
        if candidate is None or candidate.deferral is not None:  # the seconds of a cascade are of two models
            continue
        weights = candidate.weights
        if line.status != "ok" or not line.rows or weights.base in recorded:
            continue
        head_alone = weights.kind in KINDS and KINDS[weights.kind].on_base
        if weights.backend in LOCAL and (weights.adapter is None or head_alone):
            speed.record(weights.base, line.seconds_per_row, line.way, task, line.rows)
            recorded.add(weights.base)


@contextmanager
def shared_timings(bases: Sequence[Weights], cache: Path) -> Iterator[None]:
    """Times that were measured on this machine, for a run's probe; what it measures is kept beside the models.

    Args:
        bases: models under trial; times are shared where all of them lie on this machine.
        cache: of the run.
    """
    from whichway.contest.dry_run.rate_memory import TIMINGS, together
    from whichway.models import model_cache
    from whichway.runs.folder import write_json

    if any(base.backend not in LOCAL for base in bases):
        yield
        return

    def own() -> dict[str, Any]:
        with suppress(OSError, ValueError):  # none yet, or a damaged file, which is measured anew
            known: dict[str, Any] = json.loads((cache / TIMINGS).read_text(encoding="utf-8"))
            return known
        return {}

    known = together(model_cache.read_json(TIMINGS), own())
    if known:
        write_json(cache / TIMINGS, known)
    yield

    def share(shared: dict[str, Any]) -> None:
        known = together(shared, own())
        shared.clear()
        shared.update(known)

    model_cache.update_json(TIMINGS, share)


def keep_probed(seconds_per_row: Mapping[Weights, float], task: str) -> None:
    """Keep what answering took in a probe, for models that no run has measured here.

    Args:
        seconds_per_row: bare model -> seconds.
        task: whose rows were answered.
    """
    from whichway.models import speed

    for weights, seconds in seconds_per_row.items():
        known = speed.of(weights.base)
        if weights.backend in LOCAL and (known is None or known.way == PROBE or known.old):
            speed.record(weights.base, seconds, PROBE, task, 0)
