"""Think, then answer: the model writes its thoughts, and the answer stands after a mark at their end.

Chain of thought (Wei et al. 2022, arXiv 2201.11903; zero-shot as in arXiv 2205.11916) and self-consistency (Wang et al.
2022, arXiv 2203.11171): several texts are drawn and the most frequent answer counts. Over 100 papers the gain is large
on mathematics and symbols and about nothing elsewhere (arXiv 2409.12183), so it has to earn its tokens on dev. A text
without the mark has no answer: it is counted as unparsed, never as a wrong one. Closed labels are read off the text
here, not scored, because the thoughts come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from whichway.contracts import Bench
from whichway.errors import OptionError, WayFailed
from whichway.nouns import Candidate, Decoding, Layout, Prompt, TrainDevView
from whichway.prompts.plain import base_prompt

KIND = "prompt"
RANDOM = False


@dataclass(frozen=True, slots=True)
class Options:
    """How the model thinks, and how its answer is read."""

    votes: tuple[int, ...] = field(
        default=(1, 5),
        metadata={"help": "texts for one answer: 1 is the likeliest text, more are drawn and vote", "least": 1},
    )
    temperature: float = field(default=0.7, metadata={"help": "of drawn texts (votes above 1)"})
    max_tokens: int = field(default=192, metadata={"help": "longest text, thoughts and answer, in tokens"})
    mark: str = field(default="Answer:", metadata={"help": "the answer stands after the last of these"})
    ask: str = field(
        default="Think step by step before you answer.", metadata={"help": "the sentence that asks for thoughts"}
    )
    layout: Layout = field(default="user", metadata={"help": "where the instructions stand: system or user"})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield a candidate for each number of votes."""
    if not options.mark.strip():
        raise OptionError("prompt_reason wants a mark that is not empty")
    if max(options.votes) > 1 and options.temperature <= 0:
        raise OptionError("prompt_reason.temperature must be above 0: at 0 all texts that vote would be equal")
    if task.is_preference:
        raise WayFailed("preferences are compared as whole answers, so no thoughts are written")
    prompt = _prompt(task, options)
    for votes in options.votes:
        warm = options.temperature if votes > 1 else 0.0
        decoding = Decoding("generate", options.max_tokens, warm, answer_mark=options.mark, votes=votes)
        note = f"thinks, {votes} texts vote" if votes > 1 else "thinks, then answers"
        yield Candidate(prompt, bench.base, decoding, note=note)


def _prompt(task: TrainDevView, options: Options) -> Prompt:
    """The task's prompt that asks for thoughts, and says at its end how the answer is to be marked."""
    plain = base_prompt(task)
    what = "one of the allowed answers" if task.labels else "the answer alone"
    ending = f"End with a line that starts with '{options.mark}', followed by {what}."
    format_line = plain.output_format and f"{plain.output_format.rstrip('.')}, behind '{options.mark}'."
    return replace(
        plain,
        instructions=(*plain.instructions, options.ask),
        output_format=f"{format_line} {ending}".strip(),
        layout=options.layout,
    )
