"""A started server on virtual time."""

import pytest

from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.memory import MemoryListener

from .running import Log, Run, app_of


@pytest.fixture
def serve(nursery, supervise):
    """`await serve(apps…, options=…)`: started, on virtual time; stopped by the test or with its nursery."""

    async def start(*apps, **options):
        log = Log()
        run = Run(Server(apps or [app_of()], options=ServerOptions(**options), instruments=log), MemoryListener(), log)
        await nursery.start(run.run)
        return run

    return start
