"""Load on the server: many streaming clients at once against one at a time. Writes benchmarks/results/serve_load.md.

`python benchmarks/serve_load.py [--model smollm2] [--clients 64] [--seconds 300] [--alone 30]`

Each client asks one of a few dozen prompts at temperature 0, streams the answer and asks again. An answer is *lost*
when its stream ends without `[DONE]` or with an error, *mixed up* when it is not its own prompt's answer but another
prompt's. Text that differs from the answer given alone is counted too: in bfloat16 the last bits depend on how many
rows are computed together, so a tie may fall the other way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
from table_writer import write_table

RESULT = Path(__file__).parent / "results/serve_load.md"
THINGS = ("parcel", "refund", "invoice", "password", "printer", "garden", "ticket", "bicycle")
QUESTIONS = ("Where is my {}?", "Write one sentence about a {}.", "Why is the {} late?", "Who made the {}?")
PROMPTS = [question.format(thing) for thing in THINGS for question in QUESTIONS]


@dataclass
class Tally:
    """What the clients saw."""

    answers: int = 0
    tokens: int = 0
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    mixed: int = 0
    other: int = 0  # text differs from the answer given alone
    rate: float = 0.0  # tokens a second


async def ask(client: httpx2.AsyncClient, prompt: str, size: int) -> tuple[str, float, float, int]:
    """One streamed answer: text, seconds to its first piece, seconds to its end, tokens."""
    body = {
        "model": "base", "messages": [{"role": "user", "content": prompt}], "max_tokens": size, "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    start, first, text, tokens, ended = time.perf_counter(), 0.0, "", 0, False
    async with client.stream("POST", "chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                ended = True
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise RuntimeError(chunk["error"]["message"])
            for choice in chunk["choices"]:
                piece = choice["delta"].get("content") or ""
                first = first or (time.perf_counter() - start if piece else 0.0)
                text += piece
            tokens = chunk["usage"]["completion_tokens"] if chunk.get("usage") else tokens
    if not ended:
        raise RuntimeError("the stream ended without [DONE]")
    seconds = time.perf_counter() - start
    return text, first or seconds, seconds, tokens


async def work(address: str, number: int, until: float, alone: dict[str, str], tally: Tally, size: int) -> None:
    """A client that asks until the time is over."""
    async with httpx2.AsyncClient(base_url=address, timeout=120) as client:
        place = number
        while time.perf_counter() < until:
            prompt = PROMPTS[place % len(PROMPTS)]
            place += 7
            try:
                text, first, whole, tokens = await ask(client, prompt, size)
            except Exception as error:
                tally.errors.append(f"{type(error).__name__}: {error}")
                continue
            tally.answers += 1
            tally.tokens += tokens
            tally.first.append(first)
            tally.whole.append(whole)
            if text != alone[prompt]:
                tally.other += 1
                tally.mixed += text in alone.values()


async def measure(address: str, pid: int, args: argparse.Namespace) -> Iterator[str]:
    """All phases; the lines of the table."""
    clients, seconds, size = args.clients, args.seconds, args.tokens
    async with httpx2.AsyncClient(base_url=address, timeout=120) as client:
        alone = {prompt: (await ask(client, prompt, size))[0] for prompt in PROMPTS}
    process, single, many = psutil.Process(pid), Tally(), Tally()
    start = time.perf_counter()
    await work(address, 0, start + args.alone, alone, single, size)
    single.rate = single.tokens / (time.perf_counter() - start)
    memory: list[int] = []
    start = time.perf_counter()

    async def watch() -> None:
        while True:
            memory.append(process.memory_info().rss)
            await asyncio.sleep(1)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(work(address, n, start + seconds, alone, many, size) for n in range(clients)))
    many.rate = many.tokens / (time.perf_counter() - start)
    watcher.cancel()
    return lines(clients, seconds, single, many, memory)


def lines(clients: int, seconds: float, one: Tally, many: Tally, memory: list[int]) -> Iterator[str]:
    """The table."""
    yield "| | one client | many |"
    yield "|---|---:|---:|"
    yield f"| clients | 1 | {clients} |"
    rows = [
        ("answers", lambda t: f"{t.answers:,}"),
        ("tokens a second", lambda t: f"{t.rate:.1f}"),
        ("median seconds to the first text", lambda t: f"{statistics.median(t.first):.2f}"),
        ("95 % of answers began within, s", lambda t: f"{quantile(t.first):.2f}"),
        ("median seconds of a whole answer", lambda t: f"{statistics.median(t.whole):.2f}"),
        ("lost or refused", lambda t: str(len(t.errors))),
        ("mixed up", lambda t: str(t.mixed)),
        ("other text than alone (ties in bfloat16)", lambda t: str(t.other)),
    ]
    for name, shown in rows:
        yield f"| {name} | {shown(one)} | {shown(many)} |"
    yield ""
    yield f"{seconds:.0f} s under load; {many.rate / one.rate:.1f} times the tokens a second of one client."
    third = max(1, len(memory) // 3)
    ends = [sum(part) / len(part) / 1e6 for part in (memory[third : 2 * third] or memory, memory[-third:])]
    yield f"Memory of the server: {ends[0]:.0f} MB in the middle third of the time, {ends[1]:.0f} MB in the last."
    for error in sorted(set(many.errors))[:5]:
        yield f"Error: {error}"


def quantile(values: list[float]) -> float:
    """The value that 95 % are not above."""
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def main() -> None:
    """Start a server, load it, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--alone", type=float, default=30)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    busy = os.getloadavg()[0]  # above the number of cores, other programs took part of the time
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "whichway", "serve", "--model", args.model, "--folder", folder, "--port", "0"]
        with subprocess.Popen([*command, "--yes"], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            address = next(line.strip() for line in server.stdout if line.startswith("http"))
            try:
                table = asyncio.run(measure(address, server.pid, args))
            finally:
                server.terminate()
                server.wait(150)
    head = [
        "# The server under load", "",
        f"`python benchmarks/serve_load.py --model {args.model} --clients {args.clients} --seconds {args.seconds:g}`; "
        f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}; answers of at most {args.tokens} tokens; clients "
        "and server share the cores. "
        f"Load average of the machine at the start: {busy:.1f}.", "",
    ]  # fmt: skip
    write_table([*head, *table], args.out)


if __name__ == "__main__":
    main()
