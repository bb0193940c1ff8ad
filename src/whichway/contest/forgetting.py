"""What fine-tuning made a model forget: its loss on plain text that has nothing to do with the task, before and after.

Loss is the mean negative log-probability of a token, in nats. Measured once for each way that trains weights, on the
finalist that would ship, after the test split was crossed; it enters no decision and no budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from whichway.contest.bench import RunBench
from whichway.contest.ledger import Charge, RunLedger
from whichway.contest.selection.select import WayRun
from whichway.contracts import Backend, TextReader
from whichway.errors import AdapterNotLive, DataError, ModelError, WayFailed
from whichway.findings import Forgetting
from whichway.nouns import Candidate, Reply, Weights, digest, split_name
from whichway.runs.folder import FORGETTING, write_json
from whichway.verdict.compare import shipped_place

MOST = 60_000  # characters that are read, about 15,000 tokens; a longer text is cut there
PASSAGE = 2_000  # characters read in one piece, at least


def passages(path: Path | None) -> tuple[str, ...]:
    """The general text in pieces, cut between paragraphs.

    Args:
        path: the user's own plain text; None for the one that comes along.

    Raises:
        DataError: it is empty.
    """
    text = path.read_text(encoding="utf-8") if path else packaged()
    pieces, piece = [], ""
    for paragraph in text[:MOST].split("\n\n"):
        piece = f"{piece}\n\n{paragraph}".strip()
        if len(piece) >= PASSAGE:
            pieces.append(piece)
            piece = ""
    texts = tuple([*pieces, piece] if piece else pieces)
    if not texts:
        raise DataError(f"{path}: the file is empty. Give some pages of plain text with --general.")
    return texts


@cache
def packaged() -> str:
    """The text that comes along: a few thousand words of plain English, written for this."""
    return files("whichway.contest").joinpath("general.txt").read_text(encoding="utf-8")


def measure_forgetting(tried: WayRun, ledger: RunLedger) -> None:
    """Measure what a way's finalist forgot and write it beside its candidates; nothing where no weights are trained."""
    goal = ledger.folder / "ways" / tried.name / FORGETTING
    if tried.reason or not tried.finalists or tried.way.KIND not in ("fine-tune", "both"):
        return
    candidate = tried.finalists[shipped_place([dev for _, dev in tried.finalists])][0]
    if candidate.weights.adapter is None or candidate.deferral is not None or goal.exists():
        return  # the stages of a cascade are measured where they were trained
    part = tried.bench.trainings.parts.get(candidate.weights.adapter)
    before, after, tokens, why = _losses(candidate, tried.bench, ledger)
    forgetting = Forgetting(
        way=tried.name,
        model=split_name(tried.name)[1],
        candidate=candidate.id,
        before=before,
        after=after,
        tokens=tokens,
        why=why,
        bytes=part.bytes if part else None,
        peak_bytes=part.peak_bytes if part else None,
    )
    write_json(goal, forgetting)


def _losses(candidate: Candidate, bench: RunBench, ledger: RunLedger) -> tuple[float | None, float | None, int, str]:
    """The losses of base and candidate and the tokens they are measured on; or why they were not measured."""
    weights = candidate.weights
    backend = ledger.components.backends[weights.backend]
    base = Weights(weights.backend, weights.base, weights.revision)
    texts = passages(ledger.settings.general)
    try:
        read = [_read(one, place, backend, bench, ledger, texts) for one, place in (
            (base, None), (weights, ledger.cache.adapter(weights))
        )]  # fmt: skip
    except (WayFailed, AdapterNotLive, ModelError) as error:  # a classical student has no untrained base
        return None, None, 0, str(error)
    if any(replies is None for replies in read):
        return None, None, 0, f"the backend '{backend.name}' cannot read plain text"
    (before, tokens), (after, _) = (_mean(replies or ()) for replies in read)
    return before, after, tokens, ""


def _read(
    weights: Weights, place: Path | None, backend: Backend, bench: RunBench, ledger: RunLedger, texts: Sequence[str]
) -> list[Reply] | None:
    """A reply for each passage, from the cache where it was read before; None where the backend cannot."""
    keys = [digest(["read", backend.version, weights.key, text], 32) for text in texts]
    cached = ledger.cache.get(keys)
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in cached}
    fresh: dict[str, Reply] = {}
    if missing:
        with backend.open(weights, place) as session:
            if not isinstance(session, TextReader):
                return None
            fresh = dict(zip(missing, session.read(list(missing.values())), strict=True))
        ledger.cache.put(fresh.items(), ledger.paid_by)
    replies = [fresh[key] if key in fresh else cached[key][0] for key in keys]
    charges = [
        Charge(key, reply.seconds, "" if key in fresh else cached[key][1])
        for key, reply in zip(keys, replies, strict=True)
    ]
    ledger.charge(bench.account.name, "forgetting", digest(["forgetting", bench.account.name, *keys], 32), charges)
    return replies


def _mean(replies: Sequence[Reply]) -> tuple[float, int]:
    tokens = sum(reply.tokens_in for reply in replies)
    return round(sum(reply.scores["nats"] for reply in replies) / max(1, tokens), 10), tokens
