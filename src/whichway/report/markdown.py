"""The report as Markdown, for a wiki, an issue or a mail: the facts of `facts.py`, written out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from whichway.report import formatting, sections
from whichway.report.facts import facts
from whichway.report.formatting import ScoreText
from whichway.runs.run import Run


def markdown(run: Run) -> str:
    """The report of a finished run as Markdown.

    Raises:
        UserError: the folder holds no finished run.
    """
    known, scores = facts(run), formatting.scores(run.plan, run.verdict)
    parts = (_answer, _ways, _why, _errors, _data, _again)
    texts = ("\n".join(part(run, known, scores)).strip("\n") for part in parts)
    return "\n\n".join(text for text in texts if text) + "\n"


def plain(text: str) -> str:
    """A text that Markdown shows as it is, also in a table: no markup, no line breaks."""
    text = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", text).replace("<", "&lt;").replace(">", "&gt;")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 1) -> Iterator[str]:
    """A table whose columns from `numbers` on are set to the right."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "".join("---|" if k < numbers else "--:|" for k in range(len(head)))
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _answer(run: Run, known: dict[str, Any], scores: ScoreText) -> Iterator[str]:
    yield f"# {plain(known['title'])}"
    yield ""
    yield f"{plain(known['task'])}: {plain(known['headline'])}"
    sure, choice, gain = sections.sureness(run.verdict, scores.size(run.verdict.margin)), run.choice, known["gain"]
    if choice is None or choice.score is None:
        return
    ends = "not enough data" if choice.low is None or choice.high is None else scores.span(choice.low, choice.high)
    yield ""
    yield f"- {known['metric']} on {choice.rows:,} test rows: **{scores.value(choice.score)}** ({ends})"
    if gain:
        low, value, high = (scores.signed(gain[name]) for name in ("low", "difference", "high"))
        yield f"- Gain over {plain(gain['over'])}, {gain['what']}: **{value}** ({low} to {high})"
    yield f"- How sure: **{sure.figure}**, {sure.what}"
    yield (
        f"- Price of 1,000 requests: **{formatting.usd(choice.usd_per_1000)}**, "
        f"{formatting.seconds(choice.seconds_per_row)} each; made in {formatting.seconds(choice.seconds_fit)} for "
        f"{formatting.usd(choice.usd_fit)}; {formatting.usd(choice.usd_total)} in the first 30 days at "
        f"{known['requests_a_day']:,.0f} a day"
    )


def _ways(run: Run, known: dict[str, Any], scores: ScoreText) -> Iterator[str]:
    yield "## The ways"
    yield ""
    rows = []
    for s in run.verdict.standings:
        ends = "" if s.low is None or s.high is None else scores.span(s.low, s.high)
        name = f"**{plain(s.way)}**" if s.way == run.verdict.choice else plain(s.way)
        score = f"failed: {plain(s.reason)}" if s.score is None else scores.value(s.score)
        costs = (formatting.usd(s.usd_per_1000), formatting.usd(s.usd_total))
        times = (formatting.seconds(s.seconds_fit), formatting.seconds(s.seconds_per_row))
        rows.append((name, s.kind, score, ends, scores.value(s.dev_score), *times, *costs))
    interval = f"{100 * known['confidence']:g} %"
    head = ("Way", "Kind", known["metric"], interval, "Dev", "To make", "Per row", "Per 1,000", "30 days")
    yield from _table(head, rows, 2)


def _why(run: Run, known: dict[str, Any], scores: ScoreText) -> Iterator[str]:
    decide = "What would decide it" if known["answer"] == "undecided" else "What would change it"
    titles = {"reasons": "Why", "would_decide": decide, "caveats": "On the other hand", "warnings": "Keep in mind"}
    for key, title in titles.items():
        if known[key]:
            yield from (f"## {title}", "", *(f"- {plain(sentence)}" for sentence in known[key]), "")


def _errors(run: Run, known: dict[str, Any], scores: ScoreText) -> Iterator[str]:
    groups, doubtful = known["error_groups"], run.verdict.doubtful
    if groups:
        yield from ("## What fails together", "")
        rows = [
            (plain(g["title"]), f"{g['failing']} of {g['rows']}", formatting.share(g["elsewhere"]),
             formatting.probability(g["p"]), f"{g['advice']}: {plain(g['reason'])}")
            for g in groups
        ]  # fmt: skip
        yield from _table(("Test rows", "Failing", "Elsewhere", "p", "What would help first"), rows)
        yield ""
    if doubtful:
        other = f"the choice would be {plain(doubtful.choice)}"
        without = "the choice is the same" if doubtful.choice == known["choice"] else other
        yield (
            f"On {len(doubtful.rows)} test rows the ways agree on another label than the row has; without them "
            f"{without} ({doubtful.sureness})."
        )


def _data(run: Run, known: dict[str, Any], scores: ScoreText) -> Iterator[str]:
    card = known["data"]
    yield from ("## Data", "", f"Asked: {plain(known['ask'])}", "")
    rows = [(split, f"{count:,}", f"`{digest}`") for split, count, digest in card["rows"]]
    yield from _table(("Split", "Rows", "Digest"), rows)
    if card["labels"]:
        yield ""
        labels = [(plain(c["label"]), f"{c['test']:,}", formatting.share(c["share"])) for c in card["labels"]]
        yield from _table(("Label", "Test rows", "Share"), labels)


def _again(run: Run, known: dict[str, Any], scores: ScoreText) -> Iterator[str]:
    again = known["reproduce"]
    fence = "```" if "```" not in again["command"] else "~~~~"
    yield from ("## Do it again", "", f"{fence}sh", *again["command"].splitlines(), fence, "")
    yield from (f"- {plain(name)}: `{value}`" for name, value in again["digests"])
    yield f"- versions: {plain(', '.join(f'{name} {version}' for name, version in again['versions']))}"
