"""A finished run in Python's hands: its verdict and records, new rows answered, the winner shipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.app.python_words import speaks_python
from whichway.runs.run import Run

if TYPE_CHECKING:
    from whichway.nouns import Example, Verdict
    from whichway.ship import ShipSource


class FinishedRun(Run):
    """A finished run: `ww.Run`. What is asked of it is read from its folder, each file once.

    Attributes:
        path: the run folder.
        verdict: the decision, with the numbers of each sentence.
        plan: everything that was fixed before the first call.
        candidates: candidate id -> candidate.
        best: the candidate that the verdict ships; None where every way failed.
    """

    def records(self) -> Any:
        """Every answer to a dev or test row: a pandas DataFrame where pandas is installed, else a list of dicts.

        Columns: those of `nouns.Record`, and the way and seed of the candidate.
        """
        names = [f.name for f in dataclasses.fields(self.all_records[0])] if self.all_records else []
        rows = []
        for record in self.all_records:
            candidate = self.candidates.get(record.candidate)
            about = {"way": candidate.way, "seed": candidate.seed} if candidate else {"way": None, "seed": None}
            rows.append({**about, **{name: getattr(record, name) for name in names}})
        try:
            import pandas
        except ImportError:
            return rows
        return pandas.DataFrame(rows, columns=["way", "seed", *names])

    @speaks_python
    def predict(self, rows: Any, way: str | None = None, candidate: str | None = None) -> list[str | None]:
        """The answers to new rows; None where none could be read.

        Args:
            rows: a list of texts or of dicts, a data frame, or a path to a file.
            way: a way's best candidate instead of the winner.
            candidate: a candidate's id, or the start of it, instead of the winner.

        Raises:
            UserError: no such way or candidate, or rows that lack a field.
        """
        return [line["answer"] for line in self.answer(rows, way, candidate)]

    @speaks_python
    def answer(self, rows: Any, way: str | None = None, candidate: str | None = None) -> list[dict[str, Any]]:
        """The answers to new rows with all that is known of them: input, answer, scores of the labels, or the error.

        Args and errors as for `predict`.
        """
        from whichway.app.predict import answers

        source = self.source(way, candidate)
        return list(answers(source, self._examples(rows, source)))

    @speaks_python
    def ship(
        self,
        folder: str | Path = "winner",
        form: str | Sequence[str] | None = None,
        way: str | None = None,
        candidate: str | None = None,
        check: bool = True,
        format: str | None = None,  # noqa: A002
    ) -> Path:
        """Write the winner in forms that others can use without whichway, and check that it answers as it did.

        Args:
            folder: the folder to write; replaced when an earlier `ship` made it.
            form: a name of `whichway ship --help` ("folder", "peft", "gguf", ...), several, or "all"; None: "folder".
            way: a way's best candidate instead of the winner.
            candidate: a candidate's id, or the start of it, instead of the winner.
            check: start what was written in its own runtime and compare its answers with the recorded ones. The
                result is in `parity.json`, also where a runtime is missing.
            format: an older name of `form`.

        Returns:
            the folder.

        Raises:
            UserError: no such way, candidate or form, one that does not fit, or a folder that is not ours to replace.
            NotAsMeasured: what was written answers otherwise; the folder is kept.
        """
        from whichway.app.configure import backends
        from whichway.ship import CheckOptions, ship

        words = form or format or "folder"
        forms = (words,) if isinstance(words, str) else tuple(words)
        options = CheckOptions() if check else None
        return ship(self, Path(folder), candidate, way, backends(), forms, options).raise_if_unsound().folder

    @speaks_python
    def report(self, path: str | Path | None = None) -> Path:
        """Write the report, one self-contained page, and return its path.

        Args:
            path: where to; None: report.html in the run folder. One that ends in .md or .json gets Markdown or JSON.
        """
        from whichway.report import html
        from whichway.report.facts import facts
        from whichway.report.markdown import markdown
        from whichway.runs.folder import json_text

        if path is None:
            return html.write(self)
        ending = Path(path).suffix.lower()
        if ending in (".md", ".json"):
            return html.write_file(markdown(self) if ending == ".md" else json_text(facts(self)), Path(path))
        return html.write_page(self, Path(path))

    @speaks_python
    def grading_sheet(self, path: str | Path = "grades.csv", inputs: int = 40) -> Path:
        """Write a sheet of answers for a person to grade, without the ways' names, and return its path.

        Args:
            path: the CSV file to write; it must not exist.
            inputs: test inputs, drawn at random, each with every way's answer.

        Raises:
            UserError: the run has no judge, or the file exists.
        """
        from whichway.app.grading_sheet import write_sheet

        return write_sheet(self, Path(path), inputs).path

    @speaks_python
    def grade(self, path: str | Path, keep: bool = True) -> Verdict:
        """The decision by people's grades, with the judge's levels corrected by them.

        Args:
            path: a filled-in sheet.
            keep: write grades, verdict and page into the run folder, and take them for this run's from now on.

        Raises:
            UserError: the sheet is not of this run, or a line of it is wrong; names file and line.
        """
        from whichway.app.grading_sheet import keep_grades, read_sheet
        from whichway.app.open_results import results_of
        from whichway.report import html
        from whichway.runs.folder import write_json

        sheet = read_sheet(self, Path(path))
        decided = results_of(self.with_grades(sheet.lines)).verdict()
        if keep:
            keep_grades(self, sheet)
            write_json(self.path / "verdict.json", decided)
            self.grades, self.verdict = sheet.lines, decided
            self.__dict__.pop("spends", None)  # its order is the verdict's
            html.write(self)
        return decided

    def source(self, way: str | None = None, candidate: str | None = None) -> ShipSource:
        """The winner, or another candidate, with everything the run folder knows about it."""
        from whichway.ship import pick

        return pick(self, candidate, way)

    def _examples(self, rows: Any, source: ShipSource) -> list[Example]:
        from whichway.tasks import read_inputs
        from whichway.tasks.memory import examples_of

        kind = source.fields, source.conversation
        return read_inputs(rows, *kind) if isinstance(rows, Path) else examples_of(rows, *kind)

    def __repr__(self) -> str:
        from whichway.report import formatting

        choice, scores = self.choice, formatting.scores(self.plan, self.verdict)
        score = "" if choice is None or choice.score is None else f", {choice.way} {scores.value(choice.score)}"
        return f"Run('{self.path}': {self.verdict.answer}{score})"

    def _repr_html_(self) -> str:
        """The verdict for a notebook: what to do, and a table of the ways."""
        from whichway.report import formatting

        rows = [_cells(self, standing) for standing in self.verdict.standings]
        head = ("Way", "Kind", formatting.score(self.plan, self.verdict), "Dev", "To make", "Per row", "Per 1000")
        table = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        return (
            f"<p><b>{escape(formatting.ANSWERS[self.verdict.answer])}</b> "
            f"{escape(formatting.headline(self.verdict))}</p>"
            f"<table><thead><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr></thead>"
            f"<tbody>{table}</tbody></table><p><small>{escape(str(self.path))}</small></p>"
        )


def _cells(run: Run, standing: Any) -> Sequence[str]:
    from whichway.report import formatting

    scores = formatting.scores(run.plan, run.verdict)
    ends = "" if standing.low is None else f"  {scores.span(standing.low, standing.high)}"
    return (
        ("▸ " if standing.way == run.verdict.choice else "") + standing.way,
        standing.kind,
        f"failed: {standing.reason}" if standing.score is None else scores.value(standing.score) + ends,
        scores.value(standing.dev_score),
        formatting.seconds(standing.seconds_fit),
        formatting.seconds(standing.seconds_per_row),
        formatting.usd(standing.usd_per_1000),
    )
