"""The Python client: `async with connect(url) as session`.

- from an address to a session: `connecting`, `address`, `visit`, `http`, `page`
- kept connected: `link`, `websocket`, `dialing`, `status`
- what a program holds: `session`, `changes`, `difference`, `editable`, `presence`; how it waits: `newest`, `predicate`
"""

from supervisor.client.changes import Change as Change
from supervisor.client.connecting import connect as connect
from supervisor.client.connecting import connect_to as connect_to
from supervisor.client.newest import Newest as Newest
from supervisor.client.presence import ClientPresence as ClientPresence
from supervisor.client.presence import Peer as Peer
from supervisor.client.session import ClientSession as ClientSession
from supervisor.client.status import ClientStatus as ClientStatus
from supervisor.errors import ConnectFailed as ConnectFailed
from supervisor.errors import PageRefused as PageRefused
from supervisor.errors import SendConflict as SendConflict
from supervisor.errors import SendFailed as SendFailed
from supervisor.errors import SendIncident as SendIncident
from supervisor.errors import SendInvalid as SendInvalid
from supervisor.errors import SendRejected as SendRejected
from supervisor.errors import SendUnknown as SendUnknown
from supervisor.errors import SendUnsent as SendUnsent
from supervisor.errors import SessionEnded as SessionEnded
