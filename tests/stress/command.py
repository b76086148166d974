"""The suite's command: its options, the run, the table of results, the exit code."""

from __future__ import annotations

import argparse
import inspect
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

import supervisor

from .scenario import Scenario
from .scenarios import all_scenarios
from .server import Server
from .stage import Skipped, Stage

DESCRIPTORS = 24_000
"""What ten thousand connections need of this process, if the system allows it."""


@attrs.frozen
class Result:
    name: str
    outcome: str
    """`ok`, `FAILED` or `skipped`."""
    seconds: float
    detail: str


@attrs.frozen
class Options:
    seed: int
    long: bool
    minutes: float
    folder: Path


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python tests/stress/run.py",
        description="Stress a real server, and check all that it does. Exit code 0 if every scenario holds.",
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios, and what must hold in each")
    parser.add_argument("--only", metavar="NAME[,NAME]", help="play only these")
    parser.add_argument("--skip", metavar="NAME[,NAME]", default="", help="don't play these")
    parser.add_argument("--seed", type=int, help="play the client's side of a run again")
    parser.add_argument("--long", action="store_true", help="many more of everything")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the soak of a long run lasts")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="play the selection so many times")
    parser.add_argument("--logs", metavar="FOLDER", help="where the servers' logs are left")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    known = all_scenarios()
    if options.list:
        for each in known.values():
            print(f"{each.name:28} {each.summary}{' (long run only)' if each.long_only else ''}")
        return 0
    names = options.only.split(",") if options.only else list(known)
    skipped = set(filter(None, options.skip.split(",")))
    if unknown := [name for name in [*names, *skipped] if name not in known]:
        print(f"no such scenario: {', '.join(unknown)}; see --list", file=sys.stderr)
        return 2
    asked_for = options.only is not None
    chosen = [
        known[name]
        for name in names
        if name not in skipped and (options.long or asked_for or not known[name].long_only)
    ]
    _raise_limit()
    seed = random.randrange(2**31) if options.seed is None else options.seed
    with tempfile.TemporaryDirectory(prefix="stress-") as temporary:
        folder = Path(options.logs or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"seed {seed}: play it again with --seed {seed}", flush=True)
        run = Options(seed, options.long, options.minutes, folder)
        results = trio.run(_play_all, chosen * options.repeat, run)
        failed = [each for each in results if each.outcome == "FAILED"]
        if failed and not options.logs:
            for file in sorted(folder.glob("server-*.log")):
                tail = file.read_text(errors="replace").splitlines()[-5:]
                print(f"-- the end of {file.name}", *(line[:600] for line in tail), sep="\n")
    _print_end(results, seed)
    return 1 if failed else 0


def _raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _print_end(results: Sequence[Result], seed: int) -> None:
    counts = {kind: sum(each.outcome == kind for each in results) for kind in ("ok", "FAILED", "skipped")}
    print(f"\n{counts['ok']} ok, {counts['FAILED']} failed, {counts['skipped']} skipped; seed {seed}")
    for each in results:
        if each.outcome == "FAILED":
            print(f"FAILED {each.name}: {each.detail}")


async def _play_all(scenarios: Sequence[Scenario], options: Options) -> list[Result]:
    results = []
    servers: dict[bool, Server] = {}
    try:
        for each in scenarios:
            result = await _play(each, servers, options)
            results.append(result)
            print(f"{result.outcome:8} {result.seconds:6.1f} s  {result.name:28} {result.detail}", flush=True)
        return results
    finally:
        for server in servers.values():
            server.kill()


def missing(needs: str) -> str:
    """Why a scenario can't be played by this version of the server; empty if it can."""
    if not needs:
        return ""
    name, _, keyword = needs.removesuffix(")").partition("(")
    found = getattr(supervisor, name, None)
    if found is None:
        return f"supervisor has no {name}"
    if keyword and keyword not in inspect.signature(found).parameters:
        return f"supervisor.{name} takes no {keyword}"
    return ""


async def _play(scenario: Scenario, servers: dict[bool, Server], options: Options) -> Result:
    began = time.monotonic()
    if reason := missing(scenario.needs):
        return Result(scenario.name, "skipped", 0.0, reason)
    server = None if scenario.own_server else servers.get(scenario.quick)
    outcome, detail = "ok", ""
    try:
        if server is None or not server.is_running:
            server = Server(options.folder, quick=scenario.quick, **({"options": ()} if scenario.quick else {}))
            if not scenario.own_server:
                await server.start()
                servers[scenario.quick] = server
        detail = await _play_on(scenario, server, options)
    except Skipped as reason:
        outcome, detail = "skipped", str(reason)
    except Exception as error:
        outcome, detail = "FAILED", _in_words(error)
    if outcome == "FAILED" or scenario.own_server:
        servers.pop(scenario.quick, None) if not scenario.own_server else None
        if server is not None:
            server.kill()
    return Result(scenario.name, outcome, time.monotonic() - began, detail)


async def _play_on(scenario: Scenario, server: Server, options: Options) -> str:
    """Play it; what it notes of itself."""
    factor = 10.0 if options.long else 1.0
    timeout = scenario.timeout * factor + (options.minutes * 60 if scenario.long_only else 0)
    failures: list[Exception] = []
    stage = None
    try:
        async with trio.open_nursery() as nursery:
            stage = Stage(
                scenario.name,
                server,
                random.Random(f"{options.seed}/{scenario.name}"),
                nursery,
                options.folder,
                options.long,
                options.minutes,
            )
            try:
                with trio.fail_after(timeout):
                    if not scenario.own_server:
                        await stage.begin()
                    await scenario.play(stage)
                    if not scenario.own_server:
                        await stage.finish()
            except Exception as error:
                failures.append(error)
                if server.has_started:
                    stage.read_log()
                    failures += [AssertionError(text) for text in stage.account.violations()[:3]]
            finally:
                stage.close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failures += [each for each in group.exceptions if isinstance(each, Exception)]
        if not failures:
            raise
    if failures:
        if len(failures) == 1:
            raise failures[0]
        raise ExceptionGroup(f"{len(failures)} failures", failures)
    assert stage is not None
    return "; ".join(stage.notes)


def _in_words(error: Exception) -> str:
    if isinstance(error, ExceptionGroup):
        return " | ".join(_in_words(each) for each in error.exceptions)
    text = f"{type(error).__name__}: {error}"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if "/stress/" in each.filename]
    where = " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(frames[-3:]))
    return f"{text} [{where}]"
