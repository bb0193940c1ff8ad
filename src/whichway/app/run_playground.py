"""A playground on the task of a run, at work beside its callers: in one thread, which holds the model.

Trials are numbered. A new one takes the place of the one that is being answered: that stops after the block of rows it
is at, and what was answered stays in the cache.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from whichway.app.prompt_session import PlaygroundSession, open_session
from whichway.app.prompt_trial import PromptEvaluation
from whichway.app.run_task import missing_rows, spec_of_run
from whichway.app.trial_words import against, cost, interval, scores_of
from whichway.errors import UserError, WhichwayError
from whichway.lint import Finding
from whichway.nouns import Prompt, digest
from whichway.prompts.diff import readable
from whichway.prompts.files import dump
from whichway.report.formatting import metric
from whichway.runs.run import Run

SHOWN = 40  # changed rows on the page, of each kind
KEPT = 200  # trials that are remembered
log = logging.getLogger(__name__)
TrialState = Literal["waiting", "at work", "done", "superseded", "failed"]


@dataclass(frozen=True, slots=True)
class StartPrompt:
    """A prompt to start from."""

    key: str
    name: str
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row that two prompts answer differently well."""

    text: str
    target: str
    before: str
    after: str
    better: bool


@dataclass(frozen=True, slots=True)
class PromptTrial:
    """A prompt on its way to a score."""

    number: int
    prompt: Prompt
    reference: Prompt
    whole: bool
    state: TrialState = "waiting"
    done: int = 0
    of: int = 0
    error: str = ""
    result: PromptEvaluation | None = None
    changed: tuple[ChangedRow, ...] = ()
    metric: str = ""

    @property
    def key(self) -> str:
        """By which its prompt is named."""
        return key_of(self.prompt)

    @property
    def same(self) -> bool:
        """Whether it is the prompt that it is compared with."""
        return self.prompt == self.reference

    @property
    def differences(self) -> list[str]:
        """What it says otherwise than the reference, slot by slot."""
        return list(readable(self.reference, self.prompt))

    @property
    def words(self) -> dict[str, str]:
        """Score, interval, difference and cost as the terminal writes them."""
        if self.result is None:
            return {}
        return {
            "score": scores_of(self.result).value(self.result.score),
            "interval": interval(self.result).strip(),
            "against": "" if self.same else against(self.result),
            "cost": cost(self.result),
        }


class _Superseded(Exception):
    """A newer trial waits, or the playground is being closed."""


@dataclass(slots=True)
class _Opened:
    """What there is once the task was read."""

    session: PlaygroundSession
    starts: list[StartPrompt]
    missing: int  # rows of the run that the data do not hold any more
    prompts: dict[str, Prompt] = field(default_factory=dict)


class RunPlayground:
    """A playground on a run's task. Its thread opens it at once; `ready` says when it can be used.

    Args:
        run: a finished run.
        cache: of answers.
    """

    def __init__(self, run: Run, cache: Path) -> None:
        self._run, self._cache = run, cache
        self._inbox: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._trials: dict[int, PromptTrial] = {}
        self._guard = threading.Lock()
        self._ready = threading.Event()
        self._opened: _Opened | None = None
        self._error = ""
        self._last, self._closing = 0, False
        self._thread = threading.Thread(target=self._work, name=f"playground {run.path.name}", daemon=True)
        self._thread.start()

    def ready(self, seconds: float = 0.0) -> bool:
        """Whether it can be used, after waiting so long for it.

        Raises:
            UserError: it could not be opened.
        """
        if not self._ready.wait(seconds):
            return False
        if self._error:
            raise UserError(self._error)
        return True

    def close(self, seconds: float = 5.0) -> None:
        """End its thread, after the block of rows that it is at."""
        self._closing = True
        self._inbox.put(None)
        self._thread.join(seconds)

    @property
    def starts(self) -> list[StartPrompt]:
        """The prompts to start from: the plain one, the user's own, and those of the run's prompting finalists."""
        return self._whole.starts

    @property
    def rows(self) -> int:
        """How many dev rows there are."""
        return len(self._whole.session.trials.rows)

    @property
    def missing(self) -> int:
        """How many of the run's rows are not in the data any more."""
        return self._whole.missing

    def prompt(self, key: str) -> Prompt:
        """A prompt to start from, or one that was tried, by its key.

        Raises:
            UserError: there is none.
        """
        known = self._whole.prompts
        if key not in known:
            raise UserError("this prompt is not known any more: the page was started anew. Open the playground again.")
        return known[key]

    def lint(self, prompt: Prompt) -> list[Finding]:
        """What lint finds in a prompt; no model is asked."""
        return self._whole.session.lint(prompt)

    def begin(self, prompt: Prompt, reference: Prompt, whole: bool = False) -> int:
        """Score a prompt beside a reference; the number of its trial.

        Args:
            prompt: to be scored.
            reference: what it is compared with, on the same rows.
            whole: answer every dev row, also when the difference is clear.
        """
        with self._guard:
            self._last += 1
            self._trials[self._last] = PromptTrial(self._last, prompt, reference, whole, of=self.rows)
            self._trials.pop(self._last - KEPT, None)
            self._whole.prompts[key_of(prompt)] = prompt
            self._inbox.put(self._last)
            return self._last

    def trial(self, number: int) -> PromptTrial:
        """Where a trial stands.

        Raises:
            UserError: there is none of this number.
        """
        if number not in self._trials:
            raise UserError("there is no such trial any more. Score the prompt again.")
        return self._trials[number]

    @property
    def _whole(self) -> _Opened:
        if self._opened is None:
            raise UserError(self._error or "the playground is still being opened.")
        return self._opened

    def _work(self) -> None:
        try:
            spec = spec_of_run(self._run)
            with open_session(spec, self._cache, None, calibrate=True, free=True) as session:
                self._opened = self._starting(session)
                self._ready.set()
                while (number := self._inbox.get()) is not None:
                    self._do(session, number)
        except WhichwayError as error:
            self._error = str(error)
        except Exception as error:
            log.exception("a playground failed")
            self._error = f"the playground failed: {type(error).__name__}: {error}"
        finally:
            self._ready.set()

    def _starting(self, session: PlaygroundSession) -> _Opened:
        bench, dev = session.trials.scale.bench, {example.text for example in session.data.practice.dev}
        starts = [("the plain prompt", session.plain)]
        starts += [(f"your prompt {number}", own) for number, own in enumerate(self._run.plan.prompts, 1)]
        for way, entries in self._run.entries.items():
            for entry in entries:
                candidate = entry.candidate
                prompt = candidate.prompt
                # of a run in folds, a fold's worked examples may be dev rows here, which would score themselves
                fair = all(shot.text not in dev for shot in (*prompt.shots, *prompt.pool))
                if fair and entry.finalist and candidate.deferral is None and candidate.weights.key == bench.base.key:
                    starts.append((f"{way}: {candidate.note}" if candidate.note else way, prompt))
        by_key: dict[str, StartPrompt] = {}
        for name, prompt in starts:
            by_key.setdefault(key_of(prompt), StartPrompt(key_of(prompt), name, prompt))
        prompts = {key: start.prompt for key, start in by_key.items()}
        return _Opened(session, list(by_key.values()), missing_rows(self._run, session.ids), prompts)

    def _do(self, session: PlaygroundSession, number: int) -> None:
        trial = self._trials.get(number)
        if trial is None:
            return

        def tell(done: int, of: int) -> None:
            self._put(number, done=done, of=of)
            if self._closing or number != self._last:
                raise _Superseded

        try:
            if self._closing or number != self._last:
                raise _Superseded
            self._put(number, state="at work")
            result = session.trials.of(trial.prompt, trial.reference, trial.whole, tell)
            changed = _changed_rows(session, trial, result)
            title = metric(self._run.plan)
            self._put(number, state="done", result=result, changed=changed, metric=title)
        except _Superseded:
            self._put(number, state="superseded")
        except WhichwayError as error:
            self._put(number, state="failed", error=str(error))
        except Exception as error:
            log.exception("a trial failed")
            self._put(number, state="failed", error=f"{type(error).__name__}: {error}")

    def _put(self, number: int, **facts: object) -> None:
        with self._guard:
            if number in self._trials:
                self._trials[number] = replace(self._trials[number], **facts)  # type: ignore[arg-type]


def key_of(prompt: Prompt) -> str:
    """A short name of a prompt's content."""
    return digest(prompt.content, 10)


def _changed_rows(session: PlaygroundSession, trial: PromptTrial, result: PromptEvaluation) -> tuple[ChangedRow, ...]:
    before, after = session.trials.records(trial.reference), session.trials.records(trial.prompt)

    def row(place: int, better: bool) -> ChangedRow:
        example = session.trials.rows[place]
        return ChangedRow(example.text, example.target, before[place].text, after[place].text, better)

    places = [(place, True) for place in result.better[:SHOWN]] + [(place, False) for place in result.worse[:SHOWN]]
    return tuple(row(place, better) for place, better in places)



def open_playground(runs: Path, name: str) -> RunPlayground:
    """Begin to open the playground of a finished run in a folder of runs.

    Raises:
        UserError: the run is not finished.
    """
    run = Run(runs / name)
    _ = run.verdict
    return RunPlayground(run, runs / ".cache")


def prompt_file(prompt: Prompt) -> str:
    """A prompt as its file is written."""
    return dump(prompt)
