"""The kit for testing apps: a whole server and its clients in one process, over memory streams, on virtual time.

    async with supervise("demos/ticker") as app:
        session = await app.new_session()
        client = await session.connect()
        await client.until(lambda data: data["prices"])

With pytest, `supervise` is a fixture of the plugin `supervisor.testing.plugin`.
"""

from supervisor.errors import PageRefused as PageRefused
from supervisor.errors import SendFailed as SendFailed
from supervisor.testing.app import RunningApp as RunningApp
from supervisor.testing.checks import Left as Left
from supervisor.testing.client import Client as Client
from supervisor.testing.faults import Faults as Faults
from supervisor.testing.faults import InjectedFault as InjectedFault
from supervisor.testing.hand_driven import HandDrivenSession as HandDrivenSession
from supervisor.testing.hand_driven import Scheduled as Scheduled
from supervisor.testing.hand_driven import hand_driven as hand_driven
from supervisor.testing.harness import supervise as supervise
from supervisor.testing.network import Conditions as Conditions
from supervisor.testing.network import Network as Network
from supervisor.testing.probe import Probe as Probe
from supervisor.testing.probe import Told as Told
from supervisor.testing.process import ProcessApp as ProcessApp
from supervisor.testing.process import supervise_process as supervise_process
from supervisor.testing.session import TestSession as TestSession
from supervisor.testing.stand_ins import Started as Started
