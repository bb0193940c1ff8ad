"""An answer's text while it is written: what is certain is handed out, what may still change is held back."""

from __future__ import annotations

from collections.abc import Sequence

from whichway.engine.model.chat_template import Renderer
from whichway.engine.model.chat_text import BREAK
from whichway.prompts.answer_extraction import CLOSE, OPEN, spoken

_BROKEN = "�"  # of a character whose bytes are not all there yet


class AnswerText:
    """Reads written ids; gives the text piece by piece.

    Args:
        renderer: of the model.
        stops: texts that end the answer.
        reasons: the answer begins with reasoning, whatever it begins with.
        verbatim: spaces at the start stay (a text that goes on with another).
    """

    def __init__(self, renderer: Renderer, stops: Sequence[str], reasons: bool, verbatim: bool = False) -> None:
        self._renderer, self._reasons, self._verbatim = renderer, reasons, verbatim
        self._stops = [stop for stop in stops if stop]
        self._marks = [*self._stops, *([] if renderer.chat or verbatim else [BREAK])]
        self.text = ""  # handed out so far
        self.stopped = False  # at one of `stops`

    def whole(self, ids: Sequence[int]) -> tuple[str, str]:
        """Answer and reasoning of all ids; the answer is cut at the first stop."""
        text = self._renderer.continuation(ids) if self._verbatim else self._renderer.text(ids)
        answer, thoughts = (text, "") if self._verbatim else spoken(text)
        places = [place for stop in self._stops if (place := answer.find(stop)) >= 0]
        self.stopped = bool(places)
        return answer[: min(places)] if places else answer, thoughts

    def meets_stop(self, ids: Sequence[int]) -> bool:
        """Whether one of `stops` is reached."""
        self.whole(ids)
        return self.stopped

    def piece(self, ids: Sequence[int], over: bool) -> str:
        """What can be handed out now."""
        answer, thoughts = self.whole(ids)
        if not (over or self.stopped):
            answer = self._certain(answer, thoughts)
        if not answer.startswith(self.text):  # later tokens changed what earlier ones spell
            return ""
        piece = answer[len(self.text) :]
        self.text += piece
        return piece

    def _certain(self, answer: str, thoughts: str) -> str:
        if (thoughts and not answer) or (self._reasons and not thoughts):
            return ""
        if not self._verbatim and answer and OPEN.startswith(answer[: len(OPEN)]):
            return ""
        answer = answer.rstrip(_BROKEN)
        if not self._verbatim:
            answer = answer.rstrip()
        marks = self._marks if self._verbatim else [*self._marks, CLOSE]
        ends = [n for mark in marks for n in range(1, len(mark)) if answer.endswith(mark[:n])]
        return answer[: len(answer) - max(ends, default=0)]
