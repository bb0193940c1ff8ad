"""What is shipped: one candidate of a finished run, with everything the run folder knows about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.errors import OptionError, UserError, did_you_mean
from whichway.nouns import Candidate, Standing, Verdict
from whichway.runs.folder import adapter_folder, read_candidates, read_plan, read_rows, read_verdict

# What transformers and peft can load.
TRAINED = ("lora", "full", "top", "top_full", "bias", "soft_prompt", "dpo", "head")
Found = Mapping[str, tuple[Candidate, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Source:
    """One candidate and its run."""

    run: Path
    candidate: Candidate
    facts: Mapping[str, Any]  # dev_score, seconds_fit, ...
    plan: Mapping[str, Any]
    plan_sha256: str
    verdict: Verdict
    fields: tuple[str, ...]  # names of a row's input fields
    adapter: Path | None  # folder of the trained part

    @property
    def standing(self) -> Standing | None:
        """The candidate's way in the verdict."""
        return next((s for s in self.verdict.standings if s.way == self.candidate.way), None)

    @property
    def asks(self) -> bool:
        """Whether the candidate answers to a prompt; a classical baseline or an encoder reads the bare row."""
        return self.candidate.weights.backend not in ("classical", "encoder")

    @property
    def one_request(self) -> bool:
        """Whether a row's question is one request to the bare model: not where shots are chosen for each row.

        Nor where the row's text is scored under each label.
        """
        candidate = self.candidate
        bare = candidate.weights.adapter is None and not candidate.decoding.channel
        return self.asks and bare and not candidate.prompt.pool

    @property
    def asks_base(self) -> bool:
        """Whether the bare model's reply to it is the answer: not where that is read off thoughts or voted on."""
        decoding = self.candidate.decoding
        return self.one_request and not decoding.answer_mark and decoding.votes == 1

    @property
    def stands_alone(self) -> bool:
        """Whether it runs on transformers (and peft) alone: `use.py` is shipped with it."""
        weights = self.candidate.weights
        return weights.backend == "encoder" or (weights.backend == "local" and weights.kind in ("none", *TRAINED))

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed label set; empty for free text."""
        return tuple(self.plan["labels"])


def pick(run: Path, candidate: str | None = None, way: str | None = None) -> Source:
    """A candidate of a finished run: by id (or the start of it), by way, or the verdict's choice.

    Args:
        run: the run folder.
        candidate: a candidate's id.
        way: a way's name; its finalist that is best on dev.

    Raises:
        UserError: no finished run, no such candidate, or its trained part was not kept.
    """
    if not run.is_dir():
        raise UserError(f"{run}: there is no such run folder. Run `whichway run` first, or look into runs/.")
    plan, verdict, found = read_plan(run), read_verdict(run), read_candidates(run)
    if candidate is not None:
        chosen = _by_id(candidate, found)
    elif way is not None:
        chosen = _by_way(way, verdict, found)
    else:
        chosen, way = _winner(run, verdict, found), verdict.choice
    picked, facts = (read_candidates(run, way) if way else found)[chosen]  # two ways may end at one candidate
    rows = read_rows(run)
    return Source(
        run=run,
        candidate=picked,
        facts=facts,
        plan=plan,
        plan_sha256=hashlib.sha256((run / "plan.json").read_bytes()).hexdigest(),
        verdict=verdict,
        fields=tuple(rows[0]["input"]) if rows else ("text",),
        adapter=_adapter(run, picked, found),
    )


def _by_id(word: str, found: Found) -> str:
    fits = [key for key in found if key.startswith(word)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise OptionError(f"candidate '{word}' is the start of {len(fits)} ids: {', '.join(fits)}. Write more of it.")
    raise OptionError(f"there is no candidate '{word}' in this run.{did_you_mean(word, found)}")


def _by_way(way: str, verdict: Verdict, found: Found) -> str:
    standings = {s.way: s for s in verdict.standings}
    if way not in standings:
        raise OptionError(f"there is no way '{way}' in this run.{did_you_mean(way, standings)}")
    finalists = [key for key in standings[way].candidates if key in found]
    if not finalists:
        raise UserError(f"way '{way}' gave no candidate: {standings[way].reason or standings[way].status}.")
    return max(finalists, key=lambda key: _dev(found[key][1]))


def _dev(facts: Mapping[str, Any]) -> float:
    score = facts.get("dev_score")
    return float("-inf") if score is None else float(score)


def _winner(run: Path, verdict: Verdict, found: Found) -> str:
    if verdict.candidate is None or verdict.candidate not in found:
        raise UserError(
            f"{run}: the verdict names no winner ({verdict.headline}). Choose one with --candidate or --way."
        )
    return verdict.candidate


def _adapter(run: Path, candidate: Candidate, found: Found) -> Path | None:
    digest = candidate.weights.adapter
    if digest is None:
        return None
    places = [adapter_folder(run, candidate.way, digest), *sorted(run.glob(f"ways/*/adapters/{digest}"))]
    for place in places:
        if place.is_dir():
            return place
    kept = ", ".join(key for key, (_, facts) in found.items() if facts.get("finalist"))
    raise UserError(
        f"{places[0]} is missing: a run keeps the trained parts of its finalists only. Choose one of them: {kept}."
    )
