"""Messages under each mailbox policy; the log says which were handled."""

import attrs
import ledger
import small
import trio

from supervisor import receives

small.count_hooks(globals())
add = receives(small.Add, from_client=True)(small.on_add)
modify_document = small.build


@attrs.frozen
class Hold:
    """Hold the session up, so that what comes meanwhile waits."""

    seconds: float


@receives(Hold, from_client=True)
async def on_hold(doc, message):
    await trio.sleep(message.seconds)


def on_price(doc, price):
    doc.data["log"].append(f"{price.symbol}:{price.number}")


receives(ledger.Refused, when_full="refuse")(on_price)
receives(ledger.Oldest, when_full="drop_oldest")(on_price)
receives(ledger.Latest, conflate=lambda price: price.symbol)(on_price)
