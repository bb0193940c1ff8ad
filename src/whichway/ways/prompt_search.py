"""Search for a better prompt: batches of edits and rewrites race on dev against the prompt that they start from.

Proposals are edits of slots and choices of shots (`prompts.ideas`: no model needed) and instructions that a language
model writes after reading failures (`prompts.rewrite`). A batch is drawn before anybody has looked at its scores; all
of it races on the same blocks of dev rows, each prompt with its labels' own bias and with biases fitted on training
rows, which costs no further answers. The winner is what the next batch starts from. An idea that helps nobody in two
batches is rested. At the end the winner meets the starting prompt on all rows that the rest of the budget pays for; a
gain within one standard error is reported as no gain, and the starting prompt stays.

Related: GEPA (arXiv 2507.19457; reflection on failures), MIPROv2 (arXiv 2406.11695; instructions and shots together),
OPRO (arXiv 2309.03409), SAMMO (arXiv 2404.02319; edits of structure). Everything is a function of the seed, so a rerun
after a kill draws the same proposals and finds its answers in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whichway.contracts import Bench
from whichway.errors import OptionError, WayFailed
from whichway.nouns import Candidate, TrainDevView
from whichway.prompts.nearest import DEFAULT, RETRIEVER
from whichway.search.mutations import mutations
from whichway.search.optimizer import Search

KIND = "prompt"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options:
    """How long is searched, and with what."""

    calls: int = field(
        default=1600, metadata={"help": "answers that one seed may buy; the way's budget is the other cap", "least": 1}
    )
    batch: int = field(
        default=8, metadata={"help": "proposals drawn before any of them is scored, at most", "least": 1}
    )
    rounds: int = field(default=8, metadata={"help": "batches, at most", "least": 1})
    patience: int = field(
        default=2, metadata={"help": "batches without a gain after which an idea is rested", "least": 1}
    )
    proposer: str = field(
        default="self",
        metadata={"help": "who rewrites: self (the model under trial), none, or backend:model, such as openai:NAME"},
    )
    without: tuple[str, ...] = field(
        default=(), metadata={"help": f"ideas that are not tried, of: {', '.join(mutations())}"}
    )
    calibrate: int = field(
        default=32, metadata={"help": "training rows that the labels' biases are fitted on, for each prompt; 0: none"}
    )
    encoder: str = field(default=DEFAULT, metadata=RETRIEVER)
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})

    def __post_init__(self) -> None:
        if ":" not in self.proposer and self.proposer not in ("self", "none"):
            raise OptionError(
                f"prompt_search.proposer is '{self.proposer}'; write self, none, or backend:model, such as openai:NAME"
            )
        unknown = sorted(set(self.without) - set(mutations()))
        if unknown:
            raise OptionError(
                f"prompt_search.without: there is no mutation '{unknown[0]}'. Known: {', '.join(mutations())}."
            )


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield the best prompt found, seed by seed; each seed has an equal share of what is left of the budget."""
    if not task.dev:
        raise WayFailed("there are no dev rows to compare prompts on")
    for place, seed in enumerate(bench.seeds):
        left, share = bench.left.calls, len(bench.seeds) - place
        allowance = options.calls if left is None else min(options.calls, left // share)
        yield from Search(task, bench, options, seed, allowance, share).run()
