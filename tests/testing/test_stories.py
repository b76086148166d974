"""What a test is told of its sessions: by the app, and by the exception that leaves the block."""

import re

import attrs
import pytest
import trio

from supervisor import Application, FailurePolicy, Rejected, ServerOptions, SessionRefused, receives
from supervisor.actor.story import Story
from supervisor.application.handlers import NamespaceHandler
from supervisor.testing.stories import INVOLVED, KEPT, LINES, StoryBook


@attrs.frozen
class Quote:
    symbol: str
    price: float


@attrs.frozen
class Watch:
    symbol: str
    pin: str = attrs.field(default="1234", repr=False)


@attrs.frozen
class Slow:
    seconds: float


@attrs.frozen
class Ask:
    pass


def modify_document(doc):
    doc.data["prices"] = {}
    doc.data["watching"] = []
    doc.add_periodic_callback(tick, doc, seconds=30)
    doc.allow_edits("/notes")


def tick(doc):
    doc.data["ticks"] = doc.data.get("ticks", 0) + 1


@receives(Quote)
def on_quote(doc, quote):
    doc.data["prices"][quote.symbol] = quote.price
    if quote.price < 0:
        raise ValueError("below zero")


@receives(Watch, from_client=True)
def on_watch(doc, watch):
    if watch.symbol == "NONE":
        raise Rejected("no such symbol")
    doc.data["watching"].append(watch.symbol)
    return len(doc.data["watching"])


@receives(Slow)
async def on_slow(doc, slow):
    doc.data["slow"] = 1
    doc.commit()
    await trio.sleep(slow.seconds)
    doc.data["slow"] = 2


@receives(Ask)
def on_ask(doc, ask):
    return "an answer"


def on_session_created(session_context):
    if session_context.id == "unwanted":
        raise SessionRefused("not you")


async def feed(app_context):
    await trio.sleep(8)
    await app_context.broadcast(Quote("FEED", 1.0))
    raise OSError("the feed is gone")


def on_application_load(app_context):
    app_context.add_callback(feed, app_context, restart="temporary")


HOOKS = {"modify_document": modify_document, "on_session_created": on_session_created}
RECEIVERS = {each.__name__: each for each in (on_quote, on_watch, on_slow, on_ask)}


def ticker(**more):
    return Application(NamespaceHandler({**HOOKS, **RECEIVERS, **more}, where="ticker"), name="ticker")


ANY_ID = ServerOptions(session_ids="any")


def plain(text):
    """Without the names that chance has made: connections by their turn."""
    names = {}
    text = re.sub(r"story of session \S+", "story of session S", text)
    text = re.sub(r"incident [0-9a-f]{8}", "incident I", text)

    def name(found):
        return found[1] + names.setdefault(found[2], f"c{len(names) + 1}")

    return re.sub(r"(connection |; to )([\w-]{8})(?=[ \n]|$)", name, text, flags=re.MULTILINE)


@pytest.mark.virtual_time("the times of its story are compared")
async def test_the_story_of_a_session(supervise):
    """As a person reads it: one line for each thing, in order, with what came of it."""
    async with supervise(ticker(), options=ANY_ID) as app:
        session = await app.new_session(id="desk")
        client = await session.connect()
        await trio.sleep(12.5)
        await app.broadcast(Quote("ACME", 12.5))
        assert await client.send("Watch", symbol="A") == 1
        with pytest.raises(Exception, match="no such symbol"):
            await client.send("Watch", symbol="NONE")
        await client.edit("/notes", "hello")
        await client.drop()
        await trio.testing.wait_all_tasks_blocked()
        await session.context.tell(Slow(5.0))
        await trio.sleep(7)
        await session.context.tell(Quote("ACME", -1.0))
        assert await session.context.ask(Ask()) == "an answer"
        async with session.context.locked_document() as doc:
            doc.data["x"] = 1
        await app.context.update_sessions(tick)
        await trio.sleep(5)
        session.context.destroy(reason="closing time")
        await trio.sleep(1)
        assert [type(incident.error) for incident in app.incidents] == [ValueError]
        app.incidents.clear()
        told = plain(app.story(session))
    assert told == plain(
        """\
story of session S (id 'desk'):
   0.000 s  hook on_session_created
   0.000 s  hook modify_document  → revision 1: add /prices, add /watching
   0.000 s  connection 11111111 attached  → snapshot of revision 1
  12.500 s  message Quote(symbol='ACME', price=12.5)  → revision 2: add /prices/ACME; to 11111111
  12.500 s  message Watch(symbol='A') of connection 11111111  → revision 3: add /watching/0; to 11111111  → answered 1
  12.500 s  message Watch(symbol='NONE') of connection 11111111  → rejected: no such symbol
  12.500 s  edit set /notes 'hello' of connection 11111111  → revision 4: add /notes; to 11111111
  12.500 s  connection 11111111 detached, with code 1006
  12.500 s  message Slow(seconds=5.0)  → revision 5: add /slow
  17.500 s  message Slow(seconds=5.0)  → revision 6: replace /slow
  19.500 s  message Quote(symbol='ACME', price=-1.0)  → rolled back  → ValueError: below zero (incident I, resumed)
  19.500 s  message Ask()  → answered 'an answer'
  19.500 s  borrow by task <test 'test_the_story_of_a_session…  → revision 7: add /x
  19.500 s  update update_sessions(tick)  → revision 8: add /ticks
  24.500 s  session ends, destroyed: closing time"""
    )


@pytest.mark.virtual_time("the times of its story are compared")
async def test_the_story_of_an_application(supervise):
    async with supervise(ticker(on_application_load=on_application_load)) as app:
        await app.new_session()
        await trio.sleep(10)
        app.incidents.clear()
        told = plain(app.story())
        assert app.stories[0] == app.story()
        assert len(app.stories) == 2
    assert told == (
        """\
story of application ticker:
  0.000 s  hook on_application_load
  0.000 s  application loaded
  0.000 s  producer feed begins
  8.000 s  broadcast Quote(symbol='FEED', price=1.0)  → 1 accepted, 0 lagged, 0 gone
  8.000 s  failure producer feed: OSError: the feed is gone (incident I, failed for good)
  8.000 s  producer feed is over (failed)"""
    )


async def test_who_comes_back_is_told_with_what_it_got(supervise):
    async with supervise(ticker()) as app:
        session = await app.new_session()
        client = await session.connect()
        await client.drop()
        await trio.testing.wait_all_tasks_blocked()
        await app.broadcast(Quote("ACME", 12.5))
        back = client.reconnect()
        if back is not None:
            await back
        await client.until(lambda data: data["prices"])
        assert "is back  → 1 missed patches, up to revision 2" in app.story(session)


async def test_a_refused_session_has_a_story_too(supervise):
    async with supervise(ticker(), options=ANY_ID) as app:
        with pytest.raises(Exception, match="403"):
            await app.new_session(id="unwanted")
        assert "session refused: not you" in app.story("unwanted")


async def test_a_restart_is_told(supervise):
    async with supervise(ticker(failure_policy=FailurePolicy(directive="restart"))) as app:
        session = await app.new_session()
        await session.context.tell(Quote("ACME", -1.0))
        await trio.sleep(2)
        app.incidents.clear()
        last = session.context.story[-3:]
        assert plain(last[0].text).startswith("Quote(symbol='ACME', price=-1.0)  → rolled back  → ValueError: ")
        assert str(last[1]) == "hook modify_document  → revision 2: replace all"
        assert plain(str(last[2])) == "session restarted, because of incident I, at revision 2"


async def test_a_field_that_its_class_keeps_out_of_its_repr_is_not_told(supervise):
    async with supervise(ticker()) as app:
        session = await app.new_session()
        await (await session.connect()).send("Watch", symbol="ACME", pin="secret")
        assert "secret" not in app.story(session)


async def test_authors_read_entries_as_values(supervise):
    async with supervise(ticker(), options=ServerOptions(story_length=2)) as app:
        began = trio.current_time()
        session = await app.new_session()
        client = await session.connect()
        await client.send("Watch", symbol="ACME")
        context = session.context
        last = context.story[-1]
        assert len(context.story) == 2
        assert last.kind == "message"
        assert began <= last.at <= trio.current_time()
        assert last.text.startswith("Watch(symbol='ACME') of connection ")
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            last.at = 1.0
        assert app.context.story[-1].kind == "application"
        context.destroy()
        await context.wait_destroyed()
        assert context.story


@pytest.mark.virtual_time("the times of its story are compared")
async def test_an_incident_has_what_happened_before(supervise):
    async with supervise(ticker()) as app:
        session = await app.new_session()
        await trio.sleep(3)
        await session.context.tell(Quote("ACME", -1.0))
        await trio.sleep(1)
        (incident,) = app.incidents
        app.incidents.clear()
    assert incident.story[0] == "-3.000 s  hook on_session_created"
    assert incident.story[-1] == "0.000 s  message Quote(symbol='ACME', price=-1.0)  → rolled back"


@pytest.mark.virtual_time("a minute passes")
async def test_until_that_times_out_shows_the_last_data_and_the_story(supervise):
    with pytest.raises(AssertionError) as raised:
        async with supervise(ticker()) as app:
            client = await (await app.new_session()).connect()
            await app.broadcast(Quote("ACME", 12.5))
            await trio.sleep(1)
            await client.until(lambda data: data["prices"].get("ACME") == 13)
    assert "'ACME': 12.5" in str(raised.value)
    story = plain(next(note for note in raised.value.__notes__ if note.startswith("story of ")))
    assert "  0.000 s  message Quote(symbol='ACME', price=12.5)  → revision 2: add /prices/ACME; to c1" in story
    assert story.splitlines()[-1] == "  60.000 s  callback tick (periodic)  → revision 4: replace /ticks; to c1"


async def test_the_client_that_waited_in_vain_comes_first(supervise):
    with pytest.raises(AssertionError) as raised:
        async with supervise(ticker(), options=ANY_ID) as app:
            sessions = [await app.new_session(id=f"s{number}") for number in range(5)]
            clients = [await session.connect() for session in sessions]
            await trio.sleep(0.1)
            await clients[4].send("Watch", symbol="ACME")
            await clients[0].until(lambda data: False, timeout=0.1)
    (story,) = raised.value.__notes__
    waited, youngest, _ = re.findall(r"\(id '(\w+)'\)", story)
    assert (waited, youngest) == ("s0", "s4")


async def test_failures_of_the_app_have_the_story_of_the_session_that_failed(supervise):
    with pytest.raises(ExceptionGroup) as raised:
        async with supervise(ticker(), options=ANY_ID) as app:
            for number in range(5):
                await app.new_session(id=f"s{number}")
            (failing,) = [each for each in app.sessions if each.id == "s3"]
            await failing.tell(Quote("ACME", -1.0))
            await trio.testing.wait_all_tasks_blocked()
    (story,) = raised.value.__notes__
    assert story.startswith("story of session ")
    assert "(id 's3')" in story.splitlines()[0]
    assert story.count("story of") == INVOLVED


def test_a_failure_tells_of_three_sessions_and_of_the_last_lines_of_each():
    book = StoryBook()
    for number in range(10):
        story = Story(f"session {number}", 100, lambda: 0.0)
        book.begins(str(number), story)
        for line in range(100):
            story.add("hook", f"h{line}")
    told = book.involved(["7"], None)
    assert told.startswith("story of session 7 (id '7'), after 70 earlier entries:\n  0.000 s  hook h70\n")
    assert len(told.splitlines()) == INVOLVED * (1 + LINES)


def test_a_book_keeps_the_youngest_stories():
    book = StoryBook()
    for number in range(KEPT + 1):
        book.begins(str(number), Story(f"session {number}", 1, lambda: 0.0))
    assert len(book.texts()) == KEPT
    with pytest.raises(LookupError, match="no story of a session '0' is kept"):
        book.text_of("0")
    assert book.text_of("100") == "story of session 100 (id '100'):"
    assert repr(book) == f"<StoryBook of {KEPT} sessions>"
