"""From the arguments of a Python call to a spec, a request and rows: the same keys as in a task file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.app.request import RunRequest
from whichway.errors import OptionError, did_you_mean
from whichway.nouns import Budget, Task
from whichway.options import declared, read_options

if TYPE_CHECKING:
    from whichway.app.run import Ready
    from whichway.models.fetch import Progress
    from whichway.models.shelf import ShelfEntry
    from whichway.tasks import Examined, Spec
    from whichway.tasks.read import DataTable

REQUESTED = ("out", "cache", "probe", "fetch")  # arguments about the run's budget and places
TASK_FILES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Call:
    """What a call asks for: a task, or what is said about one with its rows; and how the run is to be held."""

    task: Spec | Task
    request: RunRequest
    table: DataTable | None = None
    fetch: bool = False  # a model that is not on this machine yet

    def examined(self) -> Examined:
        """The task with its findings.

        Raises:
            UserError: the task or its data are at fault.
        """
        from whichway.app.load_task import load_task
        from whichway.tasks import Examined, findings

        if isinstance(self.task, Task):
            return Examined(self.task, findings(self.task))
        return load_task(self.task, self.table)

    def ready(self) -> Ready:
        """The contest before its first call.

        Raises:
            UserError: the task, the model, a way or an option is at fault.
        """
        from whichway.app.models import ensure
        from whichway.app.run import ready_for
        from whichway.errors import ModelMissing

        examined = self.examined()
        while True:
            try:
                return ready_for(examined.task, self.request, examined.findings.warnings)
            except ModelMissing as missing:
                if not self.fetch:
                    raise
                ensure([missing.name], Consent())


class Consent:
    """Agrees to fetch models, but not those whose terms must be accepted by name."""

    def confirm(self, entries: Sequence[ShelfEntry]) -> bool | None:
        """Yes: the caller said `fetch=True`."""
        return True

    def accept(self, entry: ShelfEntry) -> bool | None:
        """None: terms are accepted by `whichway models fetch NAME --accept TERMS` alone."""
        return None

    def watch(self, progress: Progress) -> None:
        """Follow nothing."""


def read_call(data_or_task: Any, arguments: Mapping[str, Any]) -> Call:
    """The task, the request and the rows that a Python call asks for.

    Args:
        data_or_task: a path to a task file or to data, rows in memory (see `tasks.memory`), or a Task.
        arguments: keys of a task file and options of a run, besides budget, out, cache and probe.

    Raises:
        OptionError: an unknown argument ("did you mean"), or a value that does not fit.
        DataError: the task file or the rows are at fault.
    """
    set_arguments = {name: value for name, value in arguments.items() if value is not None}
    request, keys = _request(set_arguments)
    fetch = bool(set_arguments.get("fetch"))
    _refuse_unknown(keys)
    if isinstance(data_or_task, Task):
        return Call(_changed(data_or_task, keys), request, fetch=fetch)
    from whichway.tasks import from_flags

    if isinstance(data_or_task, str | Path):
        path = Path(data_or_task)
        file = path if path.suffix.lower() in TASK_FILES or (path / "task.yaml").is_file() else None
        return Call(from_flags(file, **keys, **({} if file else {"data": path})), request, fetch=fetch)
    from whichway.tasks.memory import LABEL, name_of, table_of

    table = table_of(data_or_task)
    keys = {"name": name_of(table, sorted(set_arguments.items())), **keys}
    if isinstance(data_or_task, tuple):
        inputs = tuple(name for name in table.columns if name != LABEL)
        keys = {"input": inputs, "target": LABEL, **keys}
    return Call(from_flags(None, **keys), request, table, fetch)


def _request(set_arguments: Mapping[str, Any]) -> tuple[RunRequest, dict[str, Any]]:
    """The request, and the keys of a task file that are left."""
    keys = {name: value for name, value in set_arguments.items() if name not in REQUESTED and name != "budget"}
    ways, model = keys.get("ways"), keys.get("model")
    names: tuple[str, ...] | None = None
    if ways is not None and not isinstance(ways, Mapping):
        names = _words(keys.pop("ways"))
    if model is not None and not isinstance(model, str | Path):
        keys |= {"model": str(model[0]), "models": tuple(map(str, model)) if len(model) > 1 else ()}
    elif model is not None:
        keys["model"] = str(model)
    budget = set_arguments.get("budget") or Budget()
    if not isinstance(budget, Budget):
        raise OptionError(f"budget={budget!r}: give a ww.Budget for each way, such as ww.Budget(seconds=600).")
    places = {name: Path(set_arguments[name]) for name in ("out", "cache") if name in set_arguments}
    return RunRequest(names, (), budget, bool(set_arguments.get("probe", True)), **places), keys


def _words(ways: Any) -> tuple[str, ...]:
    words: Sequence[Any] = ways.split(",") if isinstance(ways, str) else list(ways)
    return tuple(str(word).strip() for word in words if str(word).strip())


def _refuse_unknown(keys: Mapping[str, Any]) -> None:
    from whichway.tasks.spec import Spec

    known = {*Spec.model_fields, *REQUESTED, "budget", "on_event"} - {"data"}
    for name in keys:
        if name not in known:
            raise OptionError(f"there is no argument '{name}'.{did_you_mean(name, known)}")


def _changed(task: Task, keys: Mapping[str, Any]) -> Task:
    """A task under other options; what belongs to its rows is settled.

    Raises:
        OptionError: an argument that only data could take.
    """
    free = ("model", "models", "ways", "volume", "margin", "name", "ask")
    options = read_options({name: value for name, value in keys.items() if name in declared()})
    rest = {name: value for name, value in keys.items() if name not in declared()}
    for name in rest:
        if name not in free:
            raise OptionError(f"{name}: the task is read and split already. Give this argument to ww.check.")
    return replace(task, **rest, options={**task.options, **options})
