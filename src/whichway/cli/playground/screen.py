"""What a playground prints: score and difference, changed rows, lint, the prompt, its history."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from whichway.app.prompt_history import PromptHistory
from whichway.app.prompt_trial import PromptEvaluation, PromptEvaluator
from whichway.app.trial_words import against, cost, interval, scores_of
from whichway.cli.linting.show import STYLES
from whichway.lint import Finding
from whichway.nouns import Prompt
from whichway.prompts.diff import readable
from whichway.prompts.files import dump

WORDS = {
    "edit": "edit the whole prompt in $EDITOR",
    "SLOT = text": "fill a slot: objective, role, context, output_format, reminder, ... (lists: a | b)",
    "+ text": "add an instruction",
    "- N": "drop instruction N",
    "fix ID": "apply the edit of a lint finding",
    "show": "the prompt as it is",
    "rows [N]": "rows that changed, before and after",
    "lint": "findings with their reasons",
    "compare": "what differs from the kept prompt, on every dev row",
    "all": "answer every dev row",
    "keep": "compare with this prompt from now on",
    "revert": "back to the kept prompt",
    "undo, redo": "one step back, one forward",
    "history": "all steps",
    "save FILE": "write the prompt (whichway run TASK --prompt FILE takes it)",
    "quit": "leave",
}


class Screen:
    """Prints the state of a playground session to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""
        self.console.print(Text(text, style))

    def help(self) -> None:
        """Print the commands that can be typed."""
        for word, meaning in WORDS.items():
            self.console.print(Text.assemble((f"  {word:<14}", "bold"), meaning))

    def evaluation(self, trial: PromptEvaluation, same: bool, metric: str) -> None:
        """Score, difference, cost: three lines at most."""
        of = f" of {trial.of}" if trial.early else ""
        score = f"{metric} {scores_of(trial).value(trial.score)}{interval(trial)} on {trial.rows}{of} dev rows"
        unread = f", {trial.unparsed} unread" if trial.unparsed else ""
        self.console.print(Text.assemble((score, "bold"), unread))
        if not same:
            style = "bold green" if trial.clear and trial.difference > 0 else "bold red" if trial.clear else "yellow"
            self.console.print(Text(against(trial), style))
        self.say(cost(trial), "dim")

    def rows(self, trials: PromptEvaluator, trial: PromptEvaluation, reference: Prompt, most: int) -> None:
        """Rows that the new prompt answers otherwise right or wrong."""
        before, after = trials.records(reference), trials.records(trial.prompt)
        for name, places, style in (("better", trial.better, "green"), ("worse", trial.worse, "red")):
            for place in places[:most]:
                row = trials.rows[place]
                self.console.print(Text(f"{name}: {short(row.text, 90)}", style))
                self.say(
                    f"    wanted {short(row.target, 30)};  {short(before[place].text, 40)}  ->  "
                    f"{short(after[place].text, 40)}"
                )
            if len(places) > most:
                self.say(f"    and {len(places) - most} more (rows {len(places)})", "dim")
        if not trial.better and not trial.worse:
            self.say("no row changed between right and wrong")

    def lint(self, findings: Sequence[Finding], whole: bool) -> None:
        """Findings, one line each; with their reasons when asked for."""
        for finding in findings:
            fix = f"  [fix {finding.id}]" if finding.edit else ""
            head = (f"{finding.severity:<5} {finding.id}  ", STYLES[finding.severity])
            self.console.print(Text.assemble(head, f"{finding.message}{fix}"))
            if whole:
                self.say(f"      {finding.why} ({finding.source})", "dim")
                self.say(f"      {finding.suggestion}")
        if whole and not findings:
            self.say("lint: nothing found")

    def prompt(self, prompt: Prompt) -> None:
        """The prompt as its file would be."""
        self.console.print(Text(dump(prompt).rstrip(), "cyan"))

    def compare(self, reference: Prompt, current: Prompt) -> None:
        """What differs, slot by slot."""
        differences = list(readable(reference, current))
        self.say("\n".join(differences) if differences else "the same prompt as the kept one")

    def history(self, prompt_history: PromptHistory) -> None:
        """All steps, the kept and the current one marked."""
        grid = Grid.grid(padding=(0, 1))
        for number, step in enumerate(prompt_history.steps):
            marks = ("*" if number == prompt_history.at else " ") + (
                "k" if step.prompt == prompt_history.reference else " "
            )
            grid.add_row(marks, str(number), Text(step.what))
        self.console.print(grid)


def short(text: str, most: int) -> str:
    """A text as one line of limited length."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
