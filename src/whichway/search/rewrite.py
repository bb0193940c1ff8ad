"""Model-written proposals: a language model reads failures and writes the instruction anew.

After the reflection step of GEPA (Agrawal et al. 2025, arXiv 2507.19457) and OPRO (Yang et al. 2023, arXiv 2309.03409):
the instruction, rows that it got wrong with the wanted answer, and the request for a better one. Only the instruction
is written; labels, output format and shots are not the writer's to change. Pure: the caller asks the model.
"""

from __future__ import annotations

import random
import re

from whichway.nouns import Prompt
from whichway.search.context import Proposal, SearchContext, free, text_of, with_text
from whichway.search.guards import text_faults

SLOT = "objective"  # what is written anew
SHOWN = 4  # failures
LONGEST = 200  # characters of a row that are shown
TASK = "Improve the instruction that a language model is given. Write the improved instruction only."


def question(prompt: Prompt, evidence: SearchContext, rng: random.Random) -> str:
    """What the writer is asked."""
    failures = rng.sample(evidence.failures, min(SHOWN, len(evidence.failures)))
    lines = [f"Instruction: {text_of(prompt, SLOT)}"]
    if evidence.labels:
        lines.append(f"Allowed answers: {', '.join(evidence.labels)}")
    for failure in failures:
        row = failure.example
        lines.append(f"Input: {row.text[:LONGEST]}\nAnswer given: {failure.answer}\nWanted: {row.target}")
    return "\n\n".join([*lines, "Improved instruction:"])


def read(prompt: Prompt, text: str, finish: str) -> Proposal | str:
    """The writer's proposal, or why it is refused.

    Args:
        prompt: the prompt whose instruction was to be improved.
        text: the writer's answer; may stand in a fence, or after "Improved instruction:".
        finish: why the writer stopped; "length" means that it was cut short.
    """
    if SLOT not in free(prompt):
        return f"slot '{SLOT}' is protected"
    if finish == "length":
        return "the answer was cut short"
    body = re.sub(r"^\s*(improved )?instruction:\s*", "", _unfenced(text), flags=re.IGNORECASE).strip()
    body = body[1:-1].strip() if len(body) > 1 and body[0] == body[-1] == '"' else body
    wrong = text_faults(body)
    if wrong:
        return ", ".join(wrong)
    if len(body.split()) < 3:
        return "fewer than three words"
    if body == text_of(prompt, SLOT):
        return "the same text again"
    return Proposal(with_text(prompt, SLOT, body), f"rewritten: '{body[:50]}'")


def _unfenced(text: str) -> str:
    match = re.search(r"```[\w-]*\n(.*?)```", text, flags=re.DOTALL)
    return match.group(1) if match else text
