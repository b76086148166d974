"""The kit for testing apps: a whole server and its clients in one process, over memory streams, on virtual time.

    async with supervise("demos/ticker") as app:
        session = await app.new_session()
        client = await session.connect()
        await client.until(lambda data: data["prices"])

With pytest, `supervise` is a fixture of the plugin `supervisor.testing.plugin`.

- a whole server: `harness`, `block`, `kit`, `servers`, `application`, `app`, `session`, `client`, `record`; in a
  process of its own: `process`
- how it is reached: `transports`, `memory`, `network`, `ports`, `http`, `httpx_client`
- one session without a server: `by_hand`, `driving`, `sender`, `surroundings`, `stand_ins`
- time and chance: `clock`, `schedules`; what a test does to an app: `faults`, `crash`, `probe`, `behaviour`,
  `strategies`
- what it must not leave behind: `checks`, `births`, `origins`, `sockets`, `incidents`; what is shown: `agreement`,
  `stories`
- in pytest: `plugin`
"""

from typing import TYPE_CHECKING

from supervisor._lazy import lazy_names

if TYPE_CHECKING:
    from supervisor.errors import PageRefused as PageRefused
    from supervisor.errors import SendFailed as SendFailed
    from supervisor.testing.app import RunningApp as RunningApp
    from supervisor.testing.by_hand import HandDrivenSession as HandDrivenSession
    from supervisor.testing.by_hand import Scheduled as Scheduled
    from supervisor.testing.by_hand import hand_driven as hand_driven
    from supervisor.testing.checks import Left as Left
    from supervisor.testing.client import Client as Client
    from supervisor.testing.faults import Faults as Faults
    from supervisor.testing.faults import InjectedFault as InjectedFault
    from supervisor.testing.harness import supervise as supervise
    from supervisor.testing.network import Conditions as Conditions
    from supervisor.testing.network import Network as Network
    from supervisor.testing.probe import Probe as Probe
    from supervisor.testing.probe import Told as Told
    from supervisor.testing.process import ProcessApp as ProcessApp
    from supervisor.testing.process import supervise_process as supervise_process
    from supervisor.testing.session import TestSession as TestSession
    from supervisor.testing.stand_ins import Started as Started
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "supervisor.errors": "PageRefused SendFailed",
            "supervisor.testing.app": "RunningApp",
            "supervisor.testing.by_hand": "HandDrivenSession Scheduled hand_driven",
            "supervisor.testing.checks": "Left",
            "supervisor.testing.client": "Client",
            "supervisor.testing.faults": "Faults InjectedFault",
            "supervisor.testing.harness": "supervise",
            "supervisor.testing.network": "Conditions Network",
            "supervisor.testing.probe": "Probe Told",
            "supervisor.testing.process": "ProcessApp supervise_process",
            "supervisor.testing.session": "TestSession",
            "supervisor.testing.stand_ins": "Started",
        },
    )
