"""Cells on a Slurm cluster: an array of jobs, one for each cell; `sbatch` places them, `squeue` says which are left.

The script stays beside the cells, so that it can be read, changed and submitted by hand. The number of the array is
kept beside each cell: a contest that is started again waits for its jobs instead of submitting them twice.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from whichway.contest.executors import MODULE, Capacity, CellJob, environment
from whichway.errors import OptionError
from whichway.nouns import digest
from whichway.runs.folder import write_text

SUMMARY = "an array of Slurm jobs on machines that share this machine's folders"
SHARES_DISK = True
NUMBER = "slurm_job"  # file beside a cell: the number of the array that it was submitted in
POLL = 2.0  # seconds between two looks at the queue
MEMORY = 2 << 30  # bytes asked for where the estimate says nothing
SPARE = 1.25  # times the estimate


def execute(jobs: Sequence[CellJob], capacity: Capacity, ended: Callable[[CellJob], None]) -> None:
    """Write the script, submit it, and wait until no job of the array is left in the queue.

    Raises:
        OptionError: Slurm is not there, or refuses the script.
    """
    for program in ("sbatch", "squeue"):
        if shutil.which(program) is None:
            raise OptionError(f"--executor slurm: there is no `{program}` on this machine. Start it on a login node.")
    fresh = [job for job in jobs if not queued(_number(job))]
    if fresh:
        folder = capacity.folder / "slurm" / digest([str(job.file) for job in fresh], 16)
        write_text(folder / "cells.txt", "".join(f"{job.file.resolve()}\n" for job in fresh))
        write_text(folder / "cells.sbatch", script(folder, fresh, capacity.workers))
        number = _submitted(folder / "cells.sbatch")
        for job in fresh:
            write_text(job.file.with_name(NUMBER), number + "\n")
    waiting = list(jobs)
    while waiting:
        left = {number: queued(number) for number in {_number(job) for job in waiting}}
        for job in [job for job in waiting if not left[_number(job)] or job.result.exists()]:
            waiting.remove(job)
            ended(job)
        if waiting:
            time.sleep(POLL)


def _number(job: CellJob) -> str:
    """The number of the array that a cell was submitted in; "" where it never was."""
    path = job.file.with_name(NUMBER)
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def script(folder: Path, jobs: Sequence[CellJob], workers: int | None) -> str:
    """The array's script: task k works on line k of cells.txt.

    Args:
        folder: of the script and of what its jobs write.
        jobs: cells; the one that needs most memory says what each asks for.
        workers: jobs at a time; None: as the cluster allows.
    """
    memory = max(int(SPARE * job.memory_bytes) or MEMORY for job in jobs)
    at_a_time = f"%{workers}" if workers else ""
    env = environment(1)
    return "\n".join([
        "#!/bin/bash",
        "#SBATCH --job-name=whichway",
        f"#SBATCH --array=0-{len(jobs) - 1}{at_a_time}",
        "#SBATCH --cpus-per-task=1",
        f"#SBATCH --mem={memory >> 20}M",
        "#SBATCH --requeue",
        f"#SBATCH --chdir={Path.cwd()}",
        f"#SBATCH --output={folder}/%a.out",
        "#SBATCH --open-mode=append",
        f"export PYTHONPATH={shlex.quote(env['PYTHONPATH'])}",
        "export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}",
        f'cell=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(folder / "cells.txt"))})',
        f'exec {shlex.quote(sys.executable)} -m {MODULE} "$cell" >> "$(dirname "$cell")/log" 2>&1',
        "",
    ])  # fmt: skip


def queued(number: str) -> bool:
    """Whether a job of the array waits or runs."""
    if not number:
        return False
    listed = subprocess.run(["squeue", "-h", "-j", number], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and bool(listed.stdout.strip())


def _submitted(path: Path) -> str:
    """Submit a script; returns the number of its array."""
    answer = subprocess.run(["sbatch", "--parsable", str(path)], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise OptionError(f"--executor slurm: sbatch refused {path}: {answer.stderr.strip() or 'without a word'}")
    return answer.stdout.strip().partition(";")[0]
