"""One self-contained page about a finished run: no network, no clock, byte-equal when rebuilt."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from whichway.errors import DiskError
from whichway.findings import JudgeScore
from whichway.nouns import Standing
from whichway.report import curves, estimates, formatting, plot, prompt, sections
from whichway.report.contrasts import contrasts
from whichway.report.data_card import data_card
from whichway.report.environment import environment
from whichway.report.failures import failure_groups
from whichway.report.formatting import ScoreText
from whichway.report.prompt_differences import prompt_differences
from whichway.report.reproduce import reproduction
from whichway.report.row_data import RowContext, row_data
from whichway.report.rows import RowView, answering, binary, confusions, side_by_side
from whichway.report.shown_rows import shown
from whichway.runs.results import row_facts
from whichway.runs.run import Run, as_run

STATIC = 60  # rows written as plain HTML, for readers without scripts; the script holds all rows
PLOTS = (("wide", 1060.0, 460.0), ("narrow", 380.0, 440.0))  # class, width, height in pixels
FIRST = (("wide", 540.0, 430.0), ("narrow", 380.0, 270.0))  # of the picture on the first screen


def write(run: Run | Path) -> Path:
    """Write report.html beside the other files of a finished run, from these alone.

    Args:
        run: the run, or its folder.

    Returns:
        the page's path.

    Raises:
        UserError: the folder holds no finished run.
        DiskError: the page cannot be written.
    """
    run = as_run(run)
    return write_page(run, run.path / "report.html")


def write_page(run: Run, path: Path) -> Path:
    """Write the page of a finished run to a place. Raises as `write` does."""
    return write_file(render(run), path)


def write_file(text: str, path: Path) -> Path:
    """Write a report to a place that has it whole or as it was, and return the place.

    Raises:
        DiskError: it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        raise DiskError(f"{path} cannot be written ({error.strerror}). Make room or change its rights.") from error
    return path


def render(run: Run) -> str:
    """The page as text."""
    whole, run = run, shown(run)
    verdict, scores = run.verdict, formatting.scores(run.plan, run.verdict)
    lines = side_by_side(run)
    scripts = [_file("page.js"), *([_file("rows.js")] if lines else [])]
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            run=run,
            plan=run.plan,
            scores=scores,
            verdict=verdict,
            choice=run.choice,
            scripts=[Markup(script) for script in scripts],
            script_hashes=[base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts],
            style=Markup(_file("page.css") + _file("folds.css")),
            kinds={s.way: s.kind for s in verdict.standings},
            scale=_score_scale(verdict.standings),
            optimist=_optimist(verdict.standings),
            pair_scale=_pair_scale(run),
            confusions=confusions(run),
            warnings=list(dict.fromkeys((*run.plan.warnings, *verdict.warnings))),
            crossings=len({candidate for candidate, _ in run.test_records}),
            title=formatting.title(verdict),
            headline=formatting.headline(verdict),
            unfinished=bool(run.clock.get("missing")),
            estimates=estimates.lines_of(run.estimate, run.wall_seconds, run.peaks) if run.estimate else [],
            wishes=formatting.diversity_advice(verdict),
            score_name=formatting.score(run.plan, verdict),
            data=data_card(whole),
            test_rows=len(whole.test),
            reproduce=reproduction(run),
            differences=prompt_differences(run),
            **_first_screen(run, scores),
            **_plots(run, scores),
            **_findings(run, whole),
            **_prompt(run),
            **_rows(run, lines),
        )
    )


def _file(name: str) -> str:
    return files("whichway.report").joinpath(name).read_text("utf-8")


def _first_screen(run: Run, scores: ScoreText) -> dict[str, Any]:
    """What the answer's own screen shows besides the verdict's words."""
    both = contrasts(run.verdict.pairs, run.verdict.choice)
    gain = sections.gain_over(run.verdict, both[0])
    return {
        "contrasts": both,
        "sure": sections.sureness(run.verdict, scores.size(run.verdict.margin)),
        "gain": gain[0] if gain else None,
        "gain_what": gain[1] if gain else "",
        "first_plots": [(n, plot.quality_against_cost(run.verdict.standings, w, h, scores)) for n, w, h in FIRST],
    }


def _plots(run: Run, scores: ScoreText) -> dict[str, Any]:
    """Everything that is drawn over two axes, wide and narrow."""
    ways, drawn = run.verdict.standings, curves.chart
    return {
        "plots": [(name, plot.quality_against_cost(ways, w, h, scores)) for name, w, h in PLOTS],
        "time_plots": [(name, plot.quality_against_time(ways, w, h, scores)) for name, w, h in PLOTS],
        "learning": [(name, chart) for name, w, h in PLOTS if (chart := drawn(run.verdict.curves, w, h, scores))],
        "variety_plots": [(name, p) for name, w, h in PLOTS if (p := _variety(run, w, h))],
        "quality_scores": formatting.SHARES if _judged(run) else scores,  # a level is read in points of 100
        "quality": "Judge’s level" if _judged(run) else formatting.score(run.plan, run.verdict),
    }


def _findings(run: Run, whole: Run) -> dict[str, Any]:
    """What the verdict found besides its ranking; `whole` has every test row."""
    verdict = run.verdict
    return {
        "tornado": sections.tornado(verdict.break_even) if verdict.break_even else None,
        "spread_most": sections.spread_scale(verdict.spreads),
        "flips": sections.flips(run),
        "spreads": sections.ranked(run),
        "slices": sections.worst(verdict.slices),
        "slice_queries": sections.slice_queries(whole) if verdict.slices else {},
        "varieties": sections.by_standing(verdict.varieties, verdict.standings),
        "judge": run.plan.judge if verdict.judgement else None,
        "samples": sections.samples(run),
        "check_names": list(dict.fromkeys(c.check for c in verdict.checks)),
        "check_rows": sections.check_rows(verdict.checks),
    }


def _prompt(run: Run) -> dict[str, Any]:
    """The candidate that ships, and its prompt as it is sent; of a cascade, that of its last stage."""
    shipped = run.candidates.get(run.verdict.candidate or "")
    last = shipped.stages[-1] if shipped else None
    return {
        "candidate": last if shipped is None or last is None else replace(last, way=shipped.way, seed=shipped.seed),
        "stages": prompt.stages(shipped, run) if shipped else [],
        "sent": prompt.sent(last.prompt, last.decoding.channel) if last else None,
    }


def _rows(run: Run, lines: Sequence[RowView]) -> dict[str, Any]:
    """The rows, those that are plain HTML, and groups of them."""
    groups = failure_groups(run)
    context = RowContext(
        standings=answering(run),
        choice=run.verdict.choice,
        labels=run.plan.labels,
        binary=binary(run),
        columns=_columns(run),
        groups=[(group.title, group.numbers) for group in groups],
        key=f"whichway:{run.plan.splits.get('test', '')}",
    )
    return {
        "lines": lines,
        "static": lines[:STATIC],
        "rows": row_data(lines, context),
        "binary": context.binary,
        "answering": context.standings,
        "groups": groups,
        "numbers": {row.id: number for number, row in enumerate(run.test, start=1)},
    }


def _columns(run: Run) -> dict[str, Sequence[str]]:
    """The input's columns that slices and groups are cut by: those with few values, and those that were named."""
    sliced = {s.by for s in run.verdict.slices} - {"label", "length"}
    few = row_facts(run.test, run.plan_data, None).columns
    return {**few, **row_facts(run.test, run.plan_data, sorted(sliced)).columns}


def _judged(run: Run) -> Mapping[str, JudgeScore]:
    """A judge's scores by way, if it was found to tell answers apart; none where grades correct them."""
    judgement = None if run.verdict.grading else run.verdict.judgement
    return {j.way: j for j in judgement.scores} if judgement and judgement.useful else {}


def _variety(run: Run, width: float, height: float) -> plot.Plot | None:
    """Quality against variety; quality by the judge where its word is worth something, else by the metric."""
    judged, lines, scores = _judged(run), run.verdict.standings, formatting.scores(run.plan, run.verdict)
    if judged:
        scores = formatting.SHARES
        lines = tuple(
            replace(s, score=judged[s.way].score, low=judged[s.way].low, high=judged[s.way].high)
            for s in lines
            if s.way in judged
        )
    return plot.quality_against_variety(run.verdict.varieties, lines, width, height, scores)


def _score_scale(standings: Sequence[Standing]) -> plot.Scale:
    return plot.scale(value for s in standings for value in (s.score, s.low, s.high))


def _pair_scale(run: Run) -> plot.Scale:
    lines = [c for group in contrasts(run.verdict.pairs, run.verdict.choice) for c in group]
    values = [value for c in lines for value in (c.difference, c.low, c.high)]
    return plot.scale(values, around=(-run.verdict.margin, run.verdict.margin))


def _optimist(standings: Sequence[Standing]) -> tuple[Standing, float] | None:
    """The way whose dev score flatters it most, and by how much."""
    differences = [(s, s.dev_score - s.score) for s in standings if s.dev_score is not None and s.score is not None]
    best = max(differences, key=lambda pair: (pair[1], pair[0].way), default=None)
    return best if best and best[1] > 0 else None
