"""The headline of a verdict in plain words: what to take, on which grounds, or what is left open."""

from __future__ import annotations

from whichway.findings import Sentence
from whichway.verdict.explain.inputs import ExplanationInputs, scored
from whichway.verdict.explain.number_format import CitedSentence, chance, listed
from whichway.verdict.rule import Answer, Ruling

LABELS: dict[Answer, str] = {
    "prompt": "Prompt",
    "fine-tune": "Fine-tune",
    "both": "Both",
    "baseline is enough": "Baseline is enough",
    "equivalent, take the cheaper": "Equivalent, take the cheaper",
    "undecided": "Undecided",
}


def headline(facts: ExplanationInputs, answer: Answer) -> Sentence:
    """The verdict in one or two sentences."""
    cite, ruling = CitedSentence(), facts.ruling
    if ruling is None:
        return cite.sentence("Undecided: no way gave a result on the test rows.")
    if answer == "undecided":
        return cite.sentence(f"Undecided: {undecided(cite, facts, ruling)}{between_kinds(facts, ruling)}")
    choice = facts.line(ruling.choice)
    start = f"{LABELS[answer]}: take {choice.way}, {scored(cite, choice, facts.format)}."
    if answer == "equivalent, take the cheaper":
        names = listed([facts.way(j) for j in ruling.equal])
        verb = "is" if len(ruling.equal) == 1 else "are"
        within = cite("margin", facts.margin, facts.format.size)
        return cite.sentence(f"{start} {names} {verb} within ±{within} of it, and not cheaper.")
    return cite.sentence(f"{start} {grounds(cite, facts, ruling)}{between_kinds(facts, ruling)}")


def between_kinds(facts: ExplanationInputs, ruling: Ruling) -> str:
    """Which of prompting and fine-tuning is ahead, where the choice is a baseline; else nothing."""
    best = facts.best_of_each_kind()
    if best is None or facts.line(ruling.choice).kind != "baseline":
        return ""
    return f" Of prompting and fine-tuning, {leader(facts, *best)}."


def leader(facts: ExplanationInputs, prompt: int, tuned: int) -> str:
    """Which of the best prompt and the best fine-tune is shown ahead; one comparison, so at the full level."""
    difference = facts.ahead(tuned, prompt)
    if difference.p is None or difference.p > 1 - facts.table.confidence or difference.value == 0:
        return "neither is shown ahead"
    return "fine-tuning is ahead" if difference.value > 0 else "prompting is ahead"


def grounds(cite: CitedSentence, facts: ExplanationInputs, ruling: Ruling) -> str:
    """Why a decided choice is made, without the numbers of single arms."""
    parts = []
    margin = cite("margin", facts.margin, facts.format.size)
    if ruling.choice > 0:
        parts.append("every cheaper way is shown worse")
    kinds = [arm.kind for arm in facts.table.arms]
    same = len(set(kinds)) == 1
    if any(same or kind != kinds[ruling.choice] for kind in kinds[ruling.choice + 1 :]):
        other = "" if same else " of another kind"
        parts.append(f"no dearer way{other} is better by {margin} or more")
    text = " and ".join(parts) or "no other way is better by more than the margin"
    return f"{text[0].upper()}{text[1:]}."


def undecided(cite: CitedSentence, facts: ExplanationInputs, ruling: Ruling) -> str:
    """Which way to use until it is decided, and what may be lost by it."""
    choice = facts.line(ruling.choice)
    score = scored(cite, choice, facts.format)
    if len(facts.table.arms) == 1:
        return f"only {choice.way} competed, {score}; there is nothing to compare it with."
    if ruling.outlook is None:
        few = "with fewer than two independent test rows nothing can be compared"
        return f"use {choice.way}, {score}, for now. It is the cheapest; {few}."
    lean = "leaning" if ruling.sureness == "leaning" else "a toss-up"
    return f"{lean}. Use {choice.way}, {score}, for now: {chances(cite, facts, ruling)}{runner_up(cite, facts, ruling)}"


def chances(cite: CitedSentence, facts: ExplanationInputs, ruling: Ruling) -> str:
    """The probability that the choice is good enough, and its expected loss."""
    assert ruling.outlook is not None
    near = cite("near_best", ruling.outlook.near_best[ruling.choice], chance)
    margin = cite("margin", facts.margin, facts.format.size)
    lost = cite("regret", ruling.outlook.regret[ruling.choice], facts.format.size)
    return f"with a probability of {near} it is within {margin} of the best way; the expected loss is {lost}."


def runner_up(cite: CitedSentence, facts: ExplanationInputs, ruling: Ruling) -> str:
    """The way with the least expected loss after the choice."""
    assert ruling.outlook is not None
    other = ruling.outlook.runner_up
    costs = facts.cost(other, ruling.choice)
    return f" Next is {facts.way(other)}, {scored(cite, facts.line(other), facts.format)}, which {costs}."
