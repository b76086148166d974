"""The messages of one sender are handled in the order in which they were sent."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.errors import MailboxFull

from .asking import settle

operations = st.lists(st.sampled_from(["tell", "tell_nowait", "ask", "next tick"]), max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.lists(operations, min_size=1, max_size=4), st.booleans())
def test_messages_of_one_sender_are_handled_in_the_order_in_which_they_were_sent(
    run_office, do, capacity, senders, slow
):
    async def send(clerk, sender, operations, sent):
        for number, what in enumerate(operations):

            def plain(clerk, mark=(sender, number)):
                clerk.notes.append(mark)

            async def later(clerk, plain=plain):
                await trio.lowlevel.checkpoint()
                plain(clerk)

            message = do(later if slow else plain)
            if what == "next tick":
                clerk.callbacks.add_next_tick(plain, (clerk,))
            elif what == "tell_nowait":
                try:
                    clerk.ref.tell_nowait(message)
                except MailboxFull:
                    continue
            else:
                await getattr(clerk.ref, what)(message)
            sent.append((sender, number))

    async def test(office):
        clerk = await office.hire(capacity=capacity)
        sent = [[] for _ in senders]
        async with trio.open_nursery() as nursery:
            for sender, operations in enumerate(senders):
                nursery.start_soon(send, clerk, sender, operations, sent[sender])
        await settle()
        for sender, marks in enumerate(sent):
            assert [mark for mark in clerk.kept if mark[0] == sender] == marks

    run_office(test)
