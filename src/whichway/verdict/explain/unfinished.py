"""What a run against the clock did not get to, how long it takes, and whether it could change the choice."""

from __future__ import annotations

from collections.abc import Iterator

from whichway.findings import Missing, Sentence
from whichway.verdict.explain.inputs import ExplanationInputs
from whichway.verdict.explain.number_format import CitedSentence, chance, count, listed, whole


def not_tried(facts: ExplanationInputs) -> list[Missing]:
    """Ways that were not tried for want of time."""
    return [one for one in facts.missing if one.what == "way"]


def headline_end(facts: ExplanationInputs) -> str:
    """What a headline must add where ways were not tried: " Not tried for want of time: a and b."; else nothing."""
    names = [one.way for one in not_tried(facts)]
    return f" Not tried for want of time: {listed(names)}." if names else ""


def unfinished(facts: ExplanationInputs) -> Iterator[Sentence]:
    """More time, and what it would buy: ways not tried with the chance that they win; seeds, folds and rates."""
    if not facts.missing:
        return
    form = facts.format
    for one in not_tried(facts):
        cite = CitedSentence()
        more = minutes(cite, [one])
        if facts.ruling is None or one.chance is None:
            yield cite.sentence(f"{more}: {one.way} was not tried.")
            continue
        margin, sure = cite("margin", facts.margin, form.size), cite("chance", one.chance, chance)
        choice = facts.way(facts.ruling.choice)
        yield cite.sentence(
            f"{more}: {one.way} was not tried; with a probability of {sure} it is better than {choice} by more than "
            f"{margin}, as far as the other ways tell."
        )
    rest = [one for one in facts.missing if one.what != "way"]
    if rest:
        cite = CitedSentence()
        yield cite.sentence(f"{minutes(cite, rest)}: {listed(parts(cite, rest))}. The same command goes on.")


def minutes(cite: CitedSentence, missing: list[Missing]) -> str:
    """How long it takes: "About 12 more minutes"."""
    needed = max(0.1, sum(one.seconds for one in missing) / 60)
    text = cite("minutes", needed, count)
    return f"About {text} more minute{'s' * (text != '1')}"


def parts(cite: CitedSentence, missing: list[Missing]) -> list[str]:
    """What is missing besides whole ways."""
    searched = [one.way for one in missing if one.what == "search"]
    seeded = list(dict.fromkeys(one.way for one in missing if one.what == "seed"))
    folds = sum(one.what == "fold" for one in missing)
    texts = []
    if folds:
        texts.append(f"{cite('folds_left', folds, whole)} more fold{'s' * (folds > 1)} of the rows")
    if searched:
        texts.append(f"further settings of {listed(searched)}")
    if seeded:
        texts.append(f"further seeds of {listed(seeded)}")
    return texts
