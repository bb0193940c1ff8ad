"""One self-contained page about a finished run: no network, no clock, byte-equal when rebuilt."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from whichway.errors import DiskError
from whichway.findings import JudgeScore
from whichway.nouns import Pair, Standing
from whichway.report import curves, estimates, formatting, plot, prompt, sections
from whichway.report.environment import environment
from whichway.report.rows import RowView, binary, confusions, side_by_side
from whichway.runs.run import Run, as_run

STATIC = 150  # rows written as plain HTML, for readers without scripts; the script holds all rows
PLOTS = (("wide", 1060.0, 460.0), ("narrow", 380.0, 440.0))  # class, width, height in pixels


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
    page = render(run)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        temporary.write_text(page, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        raise DiskError(f"{path} cannot be written ({error.strerror}). Make room or change its rights.") from error
    return path


def render(run: Run) -> str:
    """The page as text."""
    pages = environment()
    script, style = (files("whichway.report").joinpath(name).read_text("utf-8") for name in ("page.js", "page.css"))
    lines = side_by_side(run)
    shipped = run.candidates.get(run.verdict.candidate or "")
    scores = formatting.scores(run.plan, run.verdict)
    return pages.get_template("page.html.j2").render(
        run=run,
        plan=run.plan,
        scores=scores,
        verdict=run.verdict,
        choice=run.choice,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(style),
        kinds={s.way: s.kind for s in run.verdict.standings},
        scale=_score_scale(run.verdict.standings),
        plots=[(name, plot.quality_against_cost(run.verdict.standings, w, h, scores)) for name, w, h in PLOTS],
        contrasts=_contrasts(run.verdict.pairs, run.verdict.choice),
        pair_scale=_pair_scale(run),
        optimist=_optimist(run.verdict.standings),
        candidate=shipped,
        sent=prompt.sent(shipped.prompt, shipped.decoding.channel) if shipped else None,
        confusions=confusions(run),
        lines=lines,
        static=lines[:STATIC],
        rows_json=_data(lines, run),
        binary=binary(run),
        warnings=list(dict.fromkeys((*run.plan.warnings, *run.verdict.warnings))),
        crossings=len({candidate for candidate, _ in run.test_records}),
        title=formatting.title(run.verdict),
        headline=formatting.headline(run.verdict),
        tornado=sections.tornado(run.verdict.break_even) if run.verdict.break_even else None,
        learning=[(name, drawn) for name, w, h in PLOTS if (drawn := curves.chart(run.verdict.curves, w, h, scores))],
        spread_most=sections.spread_scale(run.verdict.spreads),
        flips=sections.flips(run),
        spreads=sections.ranked(run),
        slices=sections.worst(run.verdict.slices),
        unfinished=bool(run.clock.get("missing")),
        estimates=estimates.lines_of(run.estimate, run.wall_seconds, run.peaks) if run.estimate else [],
        wishes=formatting.diversity_advice(run.verdict),
        varieties=sections.by_standing(run.verdict.varieties, run.verdict.standings),
        variety_plots=[(name, p) for name, w, h in PLOTS if (p := _variety(run, w, h))],
        judge=run.plan.judge if run.verdict.judgement else None,
        quality_scores=formatting.SHARES if _judged(run) else scores,  # a level is read in points of 100
        quality="Judge’s level" if _judged(run) else formatting.score(run.plan, run.verdict),
        score_name=formatting.score(run.plan, run.verdict),
        samples=sections.samples(run),
        check_names=list(dict.fromkeys(c.check for c in run.verdict.checks)),
        check_rows=sections.check_rows(run.verdict.checks),
    )


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


@dataclass(frozen=True, slots=True)
class Contrast:
    """A pair turned so that the choice, or else the better way, stands first: first minus second."""

    first: str
    second: str
    difference: float | None
    low: float | None
    high: float | None
    p_holm: float | None
    wins: int
    losses: int


def _turn(pair: Pair, forward: bool) -> Contrast:
    """A pair as second minus first (forward, as stored) or as first minus second."""
    if forward:
        values = (pair.second, pair.first, pair.difference, pair.low, pair.high)
        return Contrast(*values, pair.p_holm, pair.wins, pair.losses)
    low, high = (None if value is None else 0.0 - value for value in (pair.high, pair.low))
    difference = None if pair.difference is None else 0.0 - pair.difference
    return Contrast(pair.first, pair.second, difference, low, high, pair.p_holm, pair.losses, pair.wins)


def _contrasts(pairs: Sequence[Pair], choice: str | None) -> tuple[list[Contrast], list[Contrast]]:
    """The choice against each other way, and all other pairs with the better way first."""
    with_choice = [_turn(p, p.second == choice) for p in pairs if choice in (p.first, p.second)]
    others = [_turn(p, (p.difference or 0.0) > 0) for p in pairs if choice not in (p.first, p.second)]
    with_choice.sort(key=lambda c: (c.difference is None, c.difference or 0.0, c.second))
    others.sort(key=lambda c: (c.difference is None, -(c.difference or 0.0), c.first, c.second))
    return with_choice, others


def _score_scale(standings: Sequence[Standing]) -> plot.Scale:
    return plot.scale(value for s in standings for value in (s.score, s.low, s.high))


def _pair_scale(run: Run) -> plot.Scale:
    contrasts = [c for group in _contrasts(run.verdict.pairs, run.verdict.choice) for c in group]
    values = [value for c in contrasts for value in (c.difference, c.low, c.high)]
    return plot.scale(values, around=(-run.verdict.margin, run.verdict.margin))


def _optimist(standings: Sequence[Standing]) -> tuple[Standing, float] | None:
    """The way whose dev score flatters it most, and by how much."""
    differences = [(s, s.dev_score - s.score) for s in standings if s.dev_score is not None and s.score is not None]
    best = max(differences, key=lambda pair: (pair[1], pair[0].way), default=None)
    return best if best and best[1] > 0 else None


def _data(lines: Sequence[RowView], run: Run) -> Markup:
    """All rows for the script, as JSON in which nothing can end the element that holds it."""
    ways = [[s.way, s.kind] for s in run.verdict.standings]
    data: dict[str, Any] = {"ways": ways, "choice": run.verdict.choice, "rows": [line.data() for line in lines]}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for raw in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(raw, f"\\u{ord(raw):04x}")
    return Markup(text)
