"""`POST /v1/feedback`: thumbs and corrected answers; `GET /v1/feedback`: their counts and what has drifted."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from whichway.nouns import to_json
from whichway.ship.feedback.feedback_log import FeedbackLog, GivenAnswer
from whichway.ship.protocol import Refused, checked

if TYPE_CHECKING:
    from starlette.requests import Request as Call
    from starlette.responses import Response
    from starlette.routing import Route

log = logging.getLogger(__name__)


class FeedbackRequest(BaseModel):
    """The body of `POST /v1/feedback`: at least one of `thumbs` and `answer`."""

    model_config = ConfigDict(extra="forbid")
    completion_id: str
    choice: int = Field(0, ge=0)
    thumbs: Literal["up", "down"] | None = None
    answer: str | None = Field(None, max_length=100_000)
    comment: str = Field("", max_length=10_000)


class FeedbackRoutes:
    """The handlers.

    Args:
        known: answers and feedback.
    """

    def __init__(self, known: FeedbackLog) -> None:
        self._log, self._warned = known, set[str]()

    def routes(self) -> list[Route]:
        """All of them."""
        from starlette.routing import Route

        return [
            Route("/v1/feedback", self.give, methods=["POST"]),
            Route("/v1/feedback", self.summary),
        ]

    async def give(self, call: Call) -> Response:
        """Take up feedback."""
        from starlette.responses import JSONResponse

        query = checked(FeedbackRequest, await call.body())
        answer = self._checked(query)
        target = None if query.answer is None else query.answer.strip()
        line = await asyncio.to_thread(
            self._log.add, query.completion_id, query.choice, query.thumbs, target, query.comment
        )
        call.state.model = answer.model
        await asyncio.to_thread(self._warn)
        return JSONResponse({"object": "feedback", **to_json(line)})

    async def summary(self, call: Call) -> Response:
        """How much there is, and what has drifted."""
        from starlette.responses import JSONResponse

        facts: dict[str, Any] = await asyncio.to_thread(self._log.summary)
        return JSONResponse({"object": "feedback.summary", **facts})

    def _checked(self, query: FeedbackRequest) -> GivenAnswer:
        answer = self._log.find(query.completion_id)
        if answer is None:
            message = "there is no such answer, or it was given before the server's start or too long ago"
            raise Refused(f"{query.completion_id}: {message}", "completion_id", 404)
        if query.choice >= len(answer.texts):
            raise Refused(f"choice: this answer has {len(answer.texts)}, numbered from 0", "choice")
        if query.thumbs is None and query.answer is None:
            raise Refused("give thumbs ('up' or 'down'), a corrected answer, or both", "thumbs")
        if query.answer is not None and answer.labels and query.answer.strip() not in answer.labels:
            raise Refused(f"answer: one of {', '.join(answer.labels)}", "answer")
        if query.answer is not None and not query.answer.strip():
            raise Refused("answer: it is empty", "answer")
        return answer

    def _warn(self) -> None:
        """Say once in the log what has drifted."""
        for finding in self._log.drift():
            if finding.warning and finding.what not in self._warned:
                self._warned.add(finding.what)
                log.warning("drift: %s", finding.warning)
