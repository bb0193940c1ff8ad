"""Candidates of a finished run, asked from the live page as the server asks them, with the same feedback file."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.candidate_proof import CandidateProof, prove
from whichway.errors import OptionError, UserError, did_you_mean
from whichway.prompts.nearest import retriever_of
from whichway.report.formatting import model
from whichway.runs.run import Run
from whichway.ship import served_models
from whichway.ship.batching import ContinuousBatcher
from whichway.ship.chat_routes import ChatRoutes
from whichway.ship.feedback.feedback_log import FeedbackLog
from whichway.ship.feedback.feedback_routes import FeedbackRoutes
from whichway.ship.protocol import Refused

if TYPE_CHECKING:
    from starlette.requests import Request as Call
    from starlette.responses import Response

    from whichway.ship.served_models import ServedModel

SERVED = "serve"  # in the run folder, as `whichway serve` has it


@dataclass(frozen=True, slots=True)
class ChatModel:
    """What answers under a name: a candidate, or the base as it is."""

    name: str
    candidate: str  # id; "": the base, which answers the client's own messages
    way: str
    model: str
    revision: str
    adapter: str  # digest of the trained part; "": none
    kind: str
    note: str
    labels: tuple[str, ...]
    fields: tuple[str, ...]
    conversation: bool
    stages: tuple[str, ...]  # ids of the candidates of a cascade; else empty


class RunChat:
    """A run's candidates, ready to be asked; open as a context of the event loop.

    Args:
        run: a finished run.

    Raises:
        UserError: no finished run, or nothing in it can be asked.
    """

    def __init__(self, run: Run) -> None:
        from whichway.app.configure import backends

        known_backends = backends()
        self._run, self._served = run, served_models.of_run(run)
        self._batcher, self._stack = ContinuousBatcher(known_backends), AsyncExitStack()
        self._retriever = retriever_of(known_backends)
        log = FeedbackLog(run.path / SERVED, str(run.path))
        self._chats = ChatRoutes(self._served, self._batcher, self._retriever, log)
        self._feedback = FeedbackRoutes(log)
        self._proofs: dict[str, CandidateProof] = {}

    async def __aenter__(self) -> RunChat:
        await self._stack.enter_async_context(self._batcher)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def models(self) -> list[ChatModel]:
        """Everything that can be asked: the winner, each way, each finalist, the base."""
        return [_model(name, served) for name, served in self._served.items()]

    def model(self, name: str) -> ChatModel:
        """What answers under a name.

        Raises:
            OptionError: nothing does.
        """
        if name not in self._served:
            raise OptionError(f"there is nothing to ask under '{name}'.{did_you_mean(name, self._served)}")
        return _model(name, self._served[name])

    async def proof(self, name: str) -> CandidateProof:
        """That a name answers with what it says; asked once, and remembered."""
        self.model(name)
        if name not in self._proofs:
            self._proofs[name] = await prove(self._run, self._served[name], self._batcher, self._retriever)
        return self._proofs[name]

    async def chat(self, call: Call) -> Response:
        """Answer a chat in OpenAI's protocol; a header names the candidate that answered."""
        from starlette.responses import JSONResponse

        try:
            answer = await self._chats.chat(call)
        except Refused as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        candidate = self._served[call.state.model].candidate
        answer.headers["x-whichway-candidate"] = candidate.id if candidate else served_models.BASE
        return answer

    async def feedback(self, call: Call) -> Response:
        """Take up thumbs or a corrected answer, as `POST /v1/feedback` of the server does."""
        from starlette.responses import JSONResponse

        try:
            return await self._feedback.give(call)
        except Refused as refusal:
            return JSONResponse(refusal.body(), refusal.status)


def open_chat(folder: Path) -> RunChat:
    """The candidates of a finished run.

    Raises:
        UserError: no finished run, or a model that costs money, which nobody agreed to here.
    """
    run = Run(folder)
    _ = run.verdict
    if run.plan_data.get("prices"):
        raise UserError("this run asked models that cost money, which nobody agreed to here. Use `whichway serve`.")
    return RunChat(run)


def _model(name: str, served: ServedModel) -> ChatModel:
    candidate, weights = served.candidate, served.weights
    cascade = candidate is not None and candidate.deferral is not None
    return ChatModel(
        name=name,
        candidate=candidate.id if candidate else "",
        way=candidate.way if candidate else "the model without a prompt",
        model=model(weights.base),
        revision=weights.revision,
        adapter=weights.adapter or "",
        kind=weights.kind if weights.adapter else "",
        note=candidate.note if candidate else "",
        labels=served.labels,
        fields=served.fields,
        conversation=served.conversation,
        stages=tuple(stage.id for stage in candidate.stages) if candidate and cascade else (),
    )
