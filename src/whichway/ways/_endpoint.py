"""A local OpenAI-compatible endpoint over the bench, for other packages' optimisers: they ask, the way's budget pays.

The optimiser runs in a thread of its own and asks `POST /v1/chat/completions` on a free port of this machine only; the
questions are answered by the thread that holds the bench, one after another, so that a run repeats. Two extensions:
`structured_outputs.choice` (vLLM's) asks for one of the task's labels, which are scored rather than written and parsed;
and with `metadata.row`, the id of a train or dev row, the answer comes with its `score`. When the budget is spent the
answer is 402, `insufficient_quota`.
"""

from __future__ import annotations

import json
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from whichway.contracts import Bench
from whichway.errors import BudgetSpent, WayFailed
from whichway.nouns import Candidate, Decoding, Example, Message, Prompt, Shot, TrainDevView, from_json, to_json
from whichway.prompts.template import messages

T = TypeVar("T")
Body = dict[str, Any]


class OptimizerBudgetSpent(Exception):
    """The budget is spent: what the optimiser's side of the endpoint raises."""


class Endpoint:
    """Answers chat completions from the bench.

    Args:
        task: whose rows may be scored.
        bench: what pays and answers.
        calls: answers that may be bought; None: as many as the budget pays for.
    """

    def __init__(self, task: TrainDevView, bench: Bench, calls: int | None = None) -> None:
        self._bench = bench
        self._end = None if calls is None else (bench.spent.calls or 0) + calls
        self._rows = {e.id: e for e in (*task.train, *task.dev)}
        self._asked: queue.Queue[tuple[Body, Future[Body]] | None] = queue.Queue()

    def run(self, work: Callable[[str], T]) -> T:
        """Do `work(url)` in a thread of its own and answer its questions until it is done.

        Raises:
            Exception: what the work raised.
        """
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._asked))
        done: Future[T] = Future()

        def job() -> None:
            try:
                done.set_result(work(f"http://127.0.0.1:{server.server_port}/v1"))
            except BaseException as error:
                done.set_exception(error)
            self._asked.put(None)

        threads = [threading.Thread(target=run, daemon=True) for run in (server.serve_forever, job)]
        for thread in threads:
            thread.start()
        try:
            while (slip := self._asked.get()) is not None:
                self._answer(*slip)
        finally:
            server.shutdown()
            server.server_close()
        return done.result()

    def _answer(self, body: Body, answer: Future[Body]) -> None:
        try:
            answer.set_result(self._reply(body))
        except BaseException as error:
            answer.set_exception(error)
            if not isinstance(error, BudgetSpent):
                raise

    def _reply(self, body: Body) -> Body:
        if self._end is not None and (self._bench.spent.calls or 0) >= self._end:
            raise BudgetSpent("the calls of this search are spent")
        facts = body.get("metadata") or {}
        row = self._rows.get(str(facts.get("row", "")))
        if row is not None and "prompt" in facts:
            return self._scored(from_json(Prompt, facts["prompt"]), row, body)
        candidate, text = read(body, self._bench)
        if row is not None and row.text == text:
            record = self._bench.score(candidate, [row])[0]
            return _completion(record.text, record.outcome, record.why, record.score)
        reply = self._bench.ask(candidate, [Example({"text": text}, "")])[0]
        return _completion(reply.text, reply.finish, reply.error, None)

    def _scored(self, prompt: Prompt, row: Example, body: Body) -> Body:
        """The answer to a row that is asked by this prompt, with its score.

        Raises:
            WayFailed: the prompt does not render to the messages that were sent.
        """
        sent = [(m["role"], m["content"]) for m in body["messages"]]
        if sent != [(m.role, m.content) for m in messages(prompt, row)]:
            raise WayFailed("the optimiser sent other messages than its prompt gives for this row")
        record = self._bench.score(Candidate(prompt, self._bench.base, _decoding(body)), [row])[0]
        return _completion(record.text, record.outcome, record.why, record.score)


def _decoding(body: Body) -> Decoding:
    closed = bool((body.get("structured_outputs") or {}).get("choice"))
    limit, temperature = int(body.get("max_tokens") or 128), float(body.get("temperature") or 0.0)
    return Decoding("choose") if closed else Decoding("generate", limit, temperature)


def read(body: Body, bench: Bench) -> tuple[Candidate, str]:
    """The prompt that renders to the messages before the last one, and the row's text in that.

    Raises:
        WayFailed: messages that are no chat: system, then user and assistant in turn, user last.
    """
    turns = [Message(m["role"], m["content"]) for m in body["messages"]]
    head = turns.pop(0).content if turns and turns[0].role == "system" else ""
    roles = [turn.role for turn in turns]
    if not turns or roles != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
        raise WayFailed(f"the optimiser sent turns that no prompt has: {', '.join(roles) or 'none'}")
    shots = tuple(Shot(u.content, a.content) for u, a in zip(turns[:-1:2], turns[1::2], strict=True))
    return Candidate(Prompt(objective=head, shots=shots), bench.base, _decoding(body)), turns[-1].content


def _completion(text: str, finish: str, why: str, score: float | None) -> Body:
    if finish == "error":
        return {"error": {"message": why, "type": "invalid_request_error", "param": None, "code": None}}
    reason = "length" if finish == "length" else "stop"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return {"id": "whichway", "object": "chat.completion", "model": "whichway", "choices": [choice], "score": score}


def _handler(requests: queue.Queue[Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer: Future[Body] = Future()
            requests.put((body, answer))
            try:
                reply = answer.result()
                self._send(400 if "error" in reply else 200, reply)
            except BudgetSpent as spent:
                self._send(402, {"error": {"message": str(spent), "code": "insufficient_quota"}})
            except Exception as error:
                self._send(500, {"error": {"message": str(error), "code": None}})

        def _send(self, status: int, body: Body) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: Any) -> None:
            """Say nothing."""

    return Handler


def post(url: str, turns: Sequence[Message], **more: Any) -> Body:
    """The answer of an endpoint to chat messages.

    Returns:
        The body of the answer; with a key "error" where the question could not be answered (it was too long).

    Raises:
        Spent: the budget is spent.
        WayFailed: the endpoint broke.
    """
    data = json.dumps({"model": "whichway", "messages": to_json(list(turns)), **more}).encode()
    request = urllib.request.Request(f"{url}/chat/completions", data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine, whatever proxies are set
    try:
        with opener.open(request) as answer:
            reply: Body = json.load(answer)
            return reply
    except urllib.error.HTTPError as error:
        failure: Body = json.load(error)
        if error.code == 402:
            raise OptimizerBudgetSpent(failure["error"]["message"]) from error
        if error.code == 400:
            return failure
        raise WayFailed(f"the endpoint broke: {failure['error']['message']}") from error


def content(body: Mapping[str, Any]) -> str:
    """The text of an answer; empty where there is none."""
    return "" if "error" in body else str(body["choices"][0]["message"]["content"])
