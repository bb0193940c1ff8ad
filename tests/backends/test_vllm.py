"""The backend that starts and ends a server of vLLM, with a stand-in for that program."""

from __future__ import annotations

import csv
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from endpoint_kit import LABELS, WORDS
from hosted_kit import QUICK
from vllm_kit import StandIn, put_on_path

from whichway import models
from whichway.backends._vllm import model_server
from whichway.backends._vllm.model_server import Patience
from whichway.backends.openai import OpenAIBackend
from whichway.backends.vllm import VllmBackend
from whichway.cli import main
from whichway.errors import EndpointError, ModelError, OptionError
from whichway.nouns import Decoding, Message, Reply, Request

SOON = Patience(start_seconds=30.0, poll_seconds=0.02)
WORD = "vllm:embedded"
RUN = ("run", "--data", "tickets.csv", "--model", WORD, "--ways", "base_majority,prompt_plain", "--out", "run", "--yes",
       "--no-progress")  # fmt: skip


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in on the path; whatever a test leaves of it is seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WHICHWAY_VLLM_OPTIONS", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # logs of servers lie in the test's own folder
    found = put_on_path(tmp_path, monkeypatch)
    yield found
    gc.collect()
    found.wait_until_gone()


@pytest.fixture
def backend(standin: StandIn) -> Iterator[VllmBackend]:
    made = VllmBackend(QUICK, SOON)
    yield made
    made.stop()


def requests(labels: tuple[str, ...] = LABELS) -> list[Request]:
    """Questions about labels; without labels, for a text."""
    mode = "choose" if labels else "generate"
    decoding = Decoding(mode=mode, max_tokens=8)
    return [Request((Message("user", f"Which team? row {n}: about my {word}"),), decoding, labels)
            for n, word in enumerate(WORDS)]  # fmt: skip


def ask(backend: VllmBackend, word: str = WORD) -> list[Reply]:
    with backend.open(backend.weights(word), None) as session:
        return session.choose(requests())


def tickets() -> None:
    """A small table of tickets in the working folder."""
    rows = [(f"row {n} {chr(97 + n % 26)}{n}: about my {word}", WORDS[word]) for n in range(14) for word in WORDS]
    with Path("tickets.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([("text", "team"), *rows])


def test_without_the_program_a_command_says_what_to_do(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    tickets()
    assert main(list(RUN)) == 2
    error = capsys.readouterr().err
    assert "vllm:embedded wants vLLM, and there is no program `vllm` on the path" in error
    assert "NAME@http://host/v1" in error
    assert not Path("run").exists()


def test_words_that_name_no_model_are_refused(standin: StandIn) -> None:
    with pytest.raises(ModelError, match="name the model after the colon"):
        VllmBackend().weights("vllm:")
    with pytest.raises(ModelError, match=r"There is no folder \./nowhere"):
        VllmBackend().weights("vllm:./nowhere")
    assert not standin.started


def test_a_revision_follows_files_and_options_and_not_the_folder(standin: StandIn, monkeypatch: Any) -> None:
    shutil.copytree(models.find("embedded"), "copy")
    first = VllmBackend().weights(WORD).revision
    assert VllmBackend().weights("vllm:./copy").revision == first
    monkeypatch.setenv("WHICHWAY_VLLM_OPTIONS", "--max-model-len 512")
    assert VllmBackend().weights(WORD).revision != first
    monkeypatch.setenv("WHICHWAY_VLLM_OPTIONS", "'")
    with pytest.raises(OptionError, match="WHICHWAY_VLLM_OPTIONS cannot be read"):
        VllmBackend().weights(WORD)
    monkeypatch.setenv("WHICHWAY_VLLM_OPTIONS", "--dtype float16 --port=80")
    with pytest.raises(OptionError, match="holds --port=80: host, port, key and name are chosen here"):
        VllmBackend().weights(WORD)
    monkeypatch.delenv("WHICHWAY_VLLM_OPTIONS")
    Path("copy/config.json").write_text(Path("copy/config.json").read_text() + "\n")
    assert VllmBackend().weights("vllm:./copy").revision != first


def test_answers_equal_those_of_the_same_server_named_as_an_endpoint(backend: VllmBackend, monkeypatch: Any) -> None:
    monkeypatch.setenv("STANDIN", "real")
    with backend.open(backend.weights(WORD), None) as session:
        answers = [*session.choose(requests()), *session.generate(requests(()))]
        server = session.served.server  # type: ignore[attr-defined]
        monkeypatch.setenv("ENDPOINT_API_KEY", server.key)
        named = OpenAIBackend(QUICK)
        with named.open(named.weights(f"embedded@{server.address}"), None) as direct:
            others = [*direct.choose(requests()), *direct.generate(requests(()))]
    assert [answer.text for answer in answers] == [other.text for other in others]
    assert [bool(answer.scores) for answer in answers] == [True] * 3 + [False] * 3
    for answer, other in zip(answers, others, strict=True):
        assert answer.scores == pytest.approx(other.scores, abs=1e-5)
        assert (answer.finish, answer.tokens_out) == (other.finish, other.tokens_out)
        assert answer.tokens_in + answer.tokens_cached == other.tokens_in + other.tokens_cached


def test_one_server_is_started_asked_and_ended(backend: VllmBackend, standin: StandIn, monkeypatch: Any) -> None:
    monkeypatch.setenv("WHICHWAY_VLLM_OPTIONS", "--max-model-len '512'")
    weights = backend.weights(WORD)
    assert not standin.started, "a word alone starts nothing"
    assert [reply.text for reply in ask(backend)] == list(WORDS.values())
    assert [reply.text for reply in ask(backend)] == list(WORDS.values())
    assert weights == backend.weights(WORD)
    assert len(standin.started) == 1
    *_, port, words, statistics = standin.started[0]
    assert words[:2] == ["serve", str(models.find("embedded"))]
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert words[words.index("--port") + 1] == str(port)
    assert words[-2:] == ["--max-model-len", "512"]
    assert statistics == "1"
    assert len(standin.running) == 2
    assert len(list(Path().glob("whichway-vllm-*.log"))) == 1
    backend.stop()
    assert not standin.running
    assert not list(Path().glob("whichway-vllm-*.log"))
    assert ask(backend), "it is started again when it is needed"
    assert len(standin.started) == 2


def test_seconds_of_a_batch_are_shared_among_its_rows(backend: VllmBackend, monkeypatch: Any) -> None:
    monkeypatch.setenv("STANDIN", "slow")
    replies = ask(backend)
    assert 0.4 < sum(reply.seconds for reply in replies) < 1.4, "three rows of 0.5 s, side by side"


def test_a_server_ends_with_the_backend_that_is_no_longer_used(standin: StandIn) -> None:
    ask(VllmBackend(QUICK, SOON))
    gc.collect()
    assert standin.started
    assert not standin.running


def test_a_death_at_the_start_shows_its_log(backend: VllmBackend, standin: StandIn, monkeypatch: Any) -> None:
    monkeypatch.setenv("STANDIN", "dies")
    with pytest.raises(ModelError) as caught:
        ask(backend)
    message = str(caught.value)
    assert "vLLM cannot serve vllm:embedded: it ended with exit code 3" in message
    assert "ValueError: no memory for the cache of this model" in message
    assert "a wrong key would be [key]" in message
    assert len(standin.started) == 1
    assert not standin.running, "what it had started beside it is ended as well"
    assert "a wrong key would be" in Path(message.split("The log (")[1].split(")")[0]).read_text()


def test_a_server_that_does_not_get_ready_is_stopped(standin: StandIn, monkeypatch: Any) -> None:
    monkeypatch.setenv("STANDIN", "silent")
    with pytest.raises(ModelError, match="not ready to serve vllm:embedded within 1 s"):
        ask(VllmBackend(QUICK, Patience(1.0, 0.02)))
    assert standin.started
    assert not standin.running


def test_a_death_in_between_is_said_and_the_next_question_starts_another(
    backend: VllmBackend, standin: StandIn, monkeypatch: Any
) -> None:
    monkeypatch.setenv("STANDIN", "brittle")
    ask(backend)
    with pytest.raises(EndpointError) as caught:
        ask(backend)
    assert "the vLLM server of vllm:embedded has ended" in str(caught.value)
    assert "CUDA error: an illegal memory access" in str(caught.value)
    assert not standin.running
    monkeypatch.setenv("STANDIN", "fake")
    assert ask(backend)


def test_two_at_once_have_ports_of_their_own(standin: StandIn) -> None:
    backends = [VllmBackend(QUICK, SOON) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(ask, backends))
    assert [len(replies) for replies in answers] == [3, 3, 3]
    assert len({start[2] for start in standin.started}) == 3
    for one in backends:
        one.stop()


class _Stranger(BaseHTTPRequestHandler):
    """Another server that is healthy, too."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize("poll", [0.005, 1.5])
def test_a_port_that_another_program_took_is_left_to_it(standin: StandIn, monkeypatch: Any, poll: float) -> None:
    other = ThreadingHTTPServer(("127.0.0.1", 0), _Stranger)
    threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
    free = model_server._free_port
    ports = iter([other.server_port])
    monkeypatch.setattr(model_server, "_free_port", lambda: next(ports, None) or free())
    backend = VllmBackend(QUICK, Patience(30.0, poll))
    try:
        assert [reply.text for reply in ask(backend)] == list(WORDS.values())
    finally:
        backend.stop()
        other.shutdown()
        other.server_close()


def test_weights_of_another_revision_and_trained_parts_are_refused(backend: VllmBackend) -> None:
    weights = backend.weights(WORD)
    with pytest.raises(ModelError, match="not what it was"), backend.open(replace(weights, revision="0"), None):
        pass
    with pytest.raises(ModelError, match="not given to vLLM"), backend.open(replace(weights, adapter="a"), Path()):
        pass
    assert backend.trains() == frozenset()


def test_a_contest_on_private_rows_costs_no_money_and_leaves_nothing_running(standin: StandIn, capsys: Any) -> None:
    tickets()
    Path("task.yaml").write_text(f"data: tickets.csv\ninput: text\ntarget: team\nmodel: {WORD}\nprivate: true\n")
    words = ["--ways", "base_majority,prompt_plain,tune_probe", "--no-progress", "--out", "run"]
    assert main(["run", "task.yaml", *words]) == 0
    gc.collect()
    assert not standin.running
    assert len(standin.started) == 1, "the probe and the contest ask one server"
    verdict = json.loads(Path("run/verdict.json").read_text())
    by_way = {line["way"]: line for line in verdict["standings"]}
    assert by_way["prompt_plain"]["score"] == 1.0
    assert by_way["tune_probe"]["status"] == "failed"
    assert main(["run", "task.yaml", *words]) == 0
    assert len(standin.started) == 1, "a finished run asks nothing"
    capsys.readouterr()


def test_an_executor_is_refused(standin: StandIn, capsys: Any) -> None:
    tickets()
    assert main([*RUN, "--executor", "local", "--no-probe"]) == 2
    assert "--executor local does not go with vllm:embedded" in capsys.readouterr().err
    assert not standin.started


@pytest.mark.parametrize(("number", "mode"), [
    (signal.SIGINT, "slow"), (signal.SIGTERM, "silent"), (signal.SIGKILL, "slow"),
])  # fmt: skip
def test_a_run_that_is_ended_leaves_no_server(
    standin: StandIn, monkeypatch: Any, number: signal.Signals, mode: str
) -> None:
    monkeypatch.setenv("STANDIN", mode)
    tickets()
    with subprocess.Popen([sys.executable, "-m", "whichway", *RUN], stderr=subprocess.DEVNULL) as run:
        standin.wait_until_started()
        time.sleep(0.7)  # one that is ready is asked by then
        os.kill(run.pid, number)
        run.wait(20)
    standin.wait_until_gone()


def test_show_says_how_it_is_asked(standin: StandIn, capsys: Any) -> None:
    assert main(["models", "show", WORD]) == 0
    shown = capsys.readouterr().out
    assert "a server of vLLM" in shown
    assert "8.7 M" in shown
