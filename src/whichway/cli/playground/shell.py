"""The playground's loop: a line is read, a word is looked up, the prompt changes, the score follows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from whichway.app.prompt_history import PromptHistory, added, dropped, with_slot
from whichway.app.prompt_trial import PromptEvaluation, PromptEvaluator
from whichway.cli.playground.screen import Screen
from whichway.errors import OptionError, UserError, WhichwayError, did_you_mean
from whichway.lint import Finding
from whichway.nouns import Prompt
from whichway.prompts import files as files

Read = Callable[[str], str]  # shows a prompt, gives a line; EOFError at the end
_SLOT = re.compile(r"([a-z_]+)\s*=\s*(.*)")
SHOWN = 3  # rows after each edit


class Shell:
    """One playground session: reads lines and changes the prompt.

    Args:
        trials: answers prompts on dev rows.
        find: lint.
        history: kept and current prompt.
        screen: where it prints.
        read: where lines come from.
    """

    def __init__(
        self,
        trials: PromptEvaluator,
        find: Callable[[Prompt], list[Finding]],
        history: PromptHistory,
        screen: Screen,
        read: Read,
    ) -> None:
        self.trials, self.find, self.history, self.screen, self.read = trials, find, history, screen, read
        self.trial: PromptEvaluation | None = None
        self.saved: Prompt | None = None
        self._words: dict[str, Callable[[str], bool | None]] = {
            "help": lambda _: screen.help(),
            "edit": lambda _: self._edit(),
            "show": lambda _: screen.prompt(history.current),
            "rows": self._rows,
            "lint": lambda _: screen.lint(self.find(history.current), whole=True),
            "compare": lambda _: self._compare(),
            "all": lambda _: self.score(whole=True),
            "keep": lambda _: self._keep(),
            "revert": lambda _: self._moved(history.revert(), "this is the kept prompt already"),
            "undo": lambda _: self._moved(history.undo(), "nothing to undo"),
            "redo": lambda _: self._moved(history.redo(), "nothing to redo"),
            "history": lambda _: screen.history(history),
            "save": self._save,
            "fix": self._fix,
            "quit": lambda _: True,
        }

    def run(self) -> None:
        """Read lines until `quit` or the end of the input."""
        self.score()
        self.screen.say("Type help for what can be done, edit to change the prompt.", "dim")
        while True:
            try:
                line = self.read("try> ").strip()
            except EOFError:
                return
            if line and self.do(line):
                return

    def do(self, line: str) -> bool:
        """Do what a line says; True when it ends the session. A mistake is reported and changes nothing."""
        try:
            return bool(self._do(line))
        except WhichwayError as error:
            self.screen.say(str(error), "red")
            return False

    def _do(self, line: str) -> bool | None:
        slot = _SLOT.fullmatch(line)
        if slot:
            self._put(with_slot(self.history.current, slot[1], slot[2].strip()), line)
            return None
        if line[0] in "+-":
            change = added if line[0] == "+" else dropped
            self._put(change(self.history.current, line[1:].strip()), line)
            return None
        word, _, rest = line.partition(" ")
        word = {"q": "quit", "exit": "quit", "e": "edit", "?": "help", "h": "help"}.get(word, word)
        if word not in self._words:
            raise OptionError(f"'{word}' is not known here.{did_you_mean(word, self._words)}")
        return self._words[word](rest.strip())

    def score(self, whole: bool = False) -> None:
        """Try the current prompt and show what came out."""
        history, same = self.history, self.history.current == self.history.reference
        self.trial = self.trials.of(history.current, history.reference, whole=whole)
        self.screen.evaluation(self.trial, same, self.trials.metric.name)
        if not same:
            self.screen.rows(self.trials, self.trial, history.reference, SHOWN)
        self.screen.lint([f for f in self.find(history.current) if f.severity != "info"], whole=False)

    def _put(self, prompt: Prompt, what: str) -> None:
        self._moved(self.history.put(prompt, what), "nothing changed")

    def _moved(self, moved: bool, otherwise: str) -> None:
        if moved:
            self.score()
        else:
            self.screen.say(otherwise)

    def _keep(self) -> None:
        self.history.keep()
        self.screen.say("kept; from now on compared with this one")

    def _compare(self) -> None:
        self.screen.compare(self.history.reference, self.history.current)
        if self.history.reference != self.history.current:
            self.score(whole=True)

    def _rows(self, rest: str) -> None:
        if self.trial is None or self.trial.prompt != self.history.current:
            self.trial = self.trials.of(self.history.current, self.history.reference)
        most = int(rest) if rest.isdecimal() else 10
        self.screen.rows(self.trials, self.trial, self.history.reference, most)

    def _fix(self, rest: str) -> None:
        findings = [f for f in self.find(self.history.current) if f.edit]
        chosen = [f for f in findings if f.id == rest.upper()]
        if not chosen:
            known = ", ".join(dict.fromkeys(f.id for f in findings)) or "none"
            raise OptionError(f"fix {rest}: no finding of that rule has an edit. With an edit: {known}.")
        prompt = self.history.current
        for finding in chosen:
            if finding.edit:
                prompt = finding.edit.apply(prompt)
        self._put(prompt, f"fix {chosen[0].id}: {chosen[0].edit.what if chosen[0].edit else ''}")

    def _save(self, rest: str) -> None:
        if not rest:
            raise OptionError("save: say where, such as save prompt.yaml")
        path = Path(rest).expanduser()
        if path.suffix not in (".yaml", ".yml"):
            path = path.with_name(path.name + ".yaml")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files.dump(self.history.current), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}.") from None
        self.saved = self.history.current
        self.screen.say(f"saved: {path}   (whichway run TASK --prompt {path})")

    def _edit(self) -> None:
        """The prompt in the user's editor; what cannot be read is shown again with the reason."""
        command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        written = files.dump(self.history.current)
        with tempfile.TemporaryDirectory(prefix="whichway-") as folder:
            path = Path(folder) / "prompt.yaml"
            path.write_text(written, encoding="utf-8")
            try:
                subprocess.run([*shlex.split(command), str(path)], check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise UserError(
                    f"the editor '{command}' failed: {error}. Set EDITOR, or fill slots by SLOT = text."
                ) from None
            self._put(files.read(path), "edit")
