"""What other programs do to a server, where they are installed: a coverage-guided fuzzer, and one for slow HTTP."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import trio

from ..scenario import scenario
from ..stage import Skipped, Stage

ROOT = Path(__file__).parents[3]
TARGETS = (
    *("raw_port", "raw_websocket", "raw_messages", "head", "client_message", "signed"),
    *("port", "websocket", "messages", "token"),
)
"""Those of `tests/hostile/fuzz.py`, which is not imported here: that would instrument all of this program."""
SLOW = {
    "heads": ("-H", "-i", "3", "-t", "GET"),
    "bodies": ("-B", "-i", "3", "-s", "8192", "-t", "POST"),
    "reads": ("-X", "-w", "1", "-y", "10", "-n", "5", "-z", "32", "-k", "3", "-t", "GET"),
}
"""What slowhttptest does in each of its ways, for 25 seconds."""


@scenario(long_only=True, own_server=True, timeout=240)
async def guided_fuzzing(stage: Stage) -> None:
    """atheris looks by coverage for what breaks the server, one target after the other: it finds nothing."""
    if importlib.util.find_spec("atheris") is None:
        raise Skipped("atheris is missing: pip install atheris")
    seconds = max(5, int(stage.minutes * 60 / len(TARGETS)))
    for target in TARGETS:
        command = [sys.executable, "-m", "tests.hostile.fuzz", target, "--seconds", str(seconds)]
        command += ["--seed", str(stage.rng.randrange(1, 2**31))]
        ended = await trio.run_process(
            command,
            cwd=stage.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        told = ended.stdout.decode(errors="replace")
        stage.require(ended.returncode == 0, f"{target} ended with {ended.returncode}: {told[-600:]}")
    stage.note(f"{len(TARGETS)} targets, {seconds} s each")


@scenario(long_only=True, timeout=240)
async def slow_http(stage: Stage) -> None:
    """slowhttptest sends heads and bodies drop by drop, and reads as slowly: visitors are served all the while."""
    if (program := shutil.which("slowhttptest")) is None:
        raise Skipped("slowhttptest is missing: apt-get install slowhttptest")
    for what, flags in SLOW.items():
        command = [program, "-c", "500", "-r", "200", "-l", "25", "-p", "3", "-x", "24", *flags]
        command += ["-u", f"http://127.0.0.1:{stage.port}/work"]
        process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            served = 0
            while process.poll() is None:
                await stage.is_well()
                served += 1
                await trio.sleep(1)
        finally:
            process.kill()
        stage.note(f"slow {what}: {served} visitors served")
