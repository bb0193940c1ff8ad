"""The check of shipped folders: twelve planted faults that it must find, and fifty clean exports that it must pass.

    python benchmarks/ship_parity.py [--peers PYTHON] [--out FILE]

Tiny random models of several architectures are tried on a small task; their winners are exported, started in their own
runtimes, and compared with what was measured. To spare imports, one process of each Python serves all exports, where
`whichway ship` starts one for each. `--peers` names a Python that has
llama-cpp-python; without it GGUF files are left out, and the table says so. Lines are written as they come, and a run
that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from whichway.ship.parity import run_program, runtimes

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "ship")]
OUT = ROOT / "benchmarks" / "results" / "ship_parity.md"
KINDS = ("llama", "qwen2", "qwen3", "gemma", "base", "nosystem", "bos")
CLEAN = (
    ("tune_lora", "folder"), ("tune_lora", "peft"), ("tune_lora", "merged"), ("tune_lora", "gguf"),
    ("tune_head", "peft"), ("prompt_plain", "merged"), ("prompt_plain", "folder"),
)  # fmt: skip
MORE = (("llama", "tune_lora", "ollama"),)  # with the seven forms of each kind of model: fifty exports


def tiny_models(place: Path) -> Callable[[str], Path]:
    """Folders of tiny random models by name, as the tests have them."""
    from conftest import ARCHITECTURES, _model
    from tiny_tokenizer import CHATML, NO_SYSTEM, WITH_BOS, tiny_tokenizer

    def make(kind: str) -> Path:
        folder = place / f"model-{kind}"
        if not folder.exists():
            template = {"base": None, "nosystem": NO_SYSTEM, "bos": WITH_BOS}.get(kind, CHATML)
            tokenizer = tiny_tokenizer(template)
            _model(kind if kind in ARCHITECTURES else "llama", len(tokenizer)).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return folder

    return make


class Server:
    """Runs the check's programs in one process for each Python, and starts another where one died."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def __call__(self, name: str, job: dict[str, object], python: Path | str = sys.executable) -> dict[str, object]:
        """The result of a program, as `run_program` gives it."""
        process = self._processes.get(str(python))
        if process is None or process.poll() is not None:
            process = subprocess.Popen(
                [str(python), "-c", SERVER, str(run_program.PROGRAMS)], text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self._processes[str(python)] = process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([name, job]) + "\n")
        for line in process.stdout:
            if line.startswith("RESULT "):
                return json.loads(line.removeprefix("RESULT "))
        return {"error": f"the process ended with {process.wait()}"}


SERVER = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
for line in sys.stdin:
    name, job = json.loads(line)
    try:
        result = importlib.import_module(name).answer(job)
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    print("RESULT " + json.dumps(result), flush=True)
"""


def planted(bench) -> Iterator[dict[str, object]]:
    """A line for each fault."""
    from faults_kit import FAULTS

    for fault in FAULTS:
        yield {"what": "fault", "name": fault.name, "form": fault.form, "work": lambda f=fault: bench.reports(f)[1]}


def clean(bench) -> Iterator[dict[str, object]]:
    """A line for each export without a fault."""
    cases = [(kind, way, form) for kind in KINDS for way, form in CLEAN]
    for kind, way, form in (*cases, *MORE):
        work = lambda k=kind, w=way, f=form: bench.check(f, *bench.exported(k, w, f))  # noqa: E731
        yield {"what": "clean", "name": f"{kind} {way}", "form": form, "work": work}


def measure(bench, lines: Path) -> list[dict[str, object]]:
    """Every case that is not in `lines` yet, written there as it comes."""
    done = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    known = {(line["what"], line["name"], line["form"]) for line in done}
    with lines.open("a") as out:
        for case in (*planted(bench), *clean(bench)):
            work = case.pop("work")
            if (case["what"], case["name"], case["form"]) in known:
                continue
            start = time.perf_counter()
            reports = work()
            statuses = [report.status for report in reports]
            problems = [problem for report in reports for problem in report.problems]
            line = {**case, "status": worst(statuses), "said": problems[:1], "runtimes": [r.runtime for r in reports]}
            line["seconds"] = round(time.perf_counter() - start, 1)
            done.append(line)
            out.write(json.dumps(line) + "\n")
            out.flush()
            print(line, flush=True)
    return done


def cell(line: dict[str, object]) -> str:
    """What the check said, as a cell of a table."""
    return ("; ".join(map(str, line["said"])) or str(line["status"])).replace("|", "\\|")


def worst(statuses: list[str]) -> str:
    """Failed before not run before ok."""
    return next((word for word in ("failed", "not run") if word in statuses), "ok")


def table(lines: list[dict[str, object]]) -> str:
    """The page of results."""
    faults = [line for line in lines if line["what"] == "fault"]
    exports = [line for line in lines if line["what"] == "clean"]
    caught, alarms = sum(f["status"] == "failed" for f in faults), sum(e["status"] == "failed" for e in exports)
    silent = sum(e["status"] == "not run" for e in exports)
    text = [
        "# The check of shipped folders",
        "",
        "`python benchmarks/ship_parity.py --peers PYTHON`: each export of a tiny random model in its own runtime.",
        "",
        f"{caught} of {len(faults)} planted faults caught; {alarms} alarms in {len(exports)} clean exports"
        + (f", {silent} of which had no runtime here." if silent else "."),
        "",
        "| fault | planted in | what the check said |",
        "|---|---|---|",
        *(f"| {f['name']} | {f['form']} | {cell(f)} |" for f in faults),
        "",
        "| clean export | form | result | runtime |",
        "|---|---|---|---|",
        *(f"| {e['name']} | {e['form']} | {e['status']} | {', '.join(sorted({*e['runtimes']}))} |" for e in exports),
    ]
    return "\n".join(text) + "\n"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="a Python that has llama-cpp-python")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    from faults_kit import FaultBench

    runtimes.run_program = Server()
    place = Path(tempfile.mkdtemp(prefix="whichway-ship-"))
    bench = FaultBench(tiny_models(place), place, options.peers)
    lines = measure(bench, options.out.with_suffix(".jsonl"))
    options.out.write_text(table(lines), encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
