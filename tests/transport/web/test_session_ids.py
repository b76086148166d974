"""`?session=`, and the session that the app chooses."""

import pytest
import trio
import trio.testing

from supervisor.errors import SessionRefused
from supervisor.server_options import ServerOptions
from supervisor.testing import PageRefused

from .apps import app_of


async def test_a_generated_id_can_be_joined_while_it_lives(supervise):
    async with supervise(app_of()) as app:
        first = await app.new_session()
        second = await app.new_session(id=first.id)
        assert second.id == first.id
        assert len(app.sessions) == 1
        await trio.sleep(16)
        with pytest.raises(PageRefused) as refused:
            await app.new_session(id=first.id)
        assert refused.value.status == 404
        assert "This session is over" in refused.value.text


@pytest.mark.parametrize("id", ["unknown", "", "two words", "ä", "a" * 129, "../../etc"])
async def test_no_other_id_is_served_while_ids_are_generated(supervise, id):
    created = []
    async with supervise(app_of(on_session_created=created.append)) as app:
        with pytest.raises(PageRefused) as refused:
            await app.new_session(id=id)
        assert refused.value.status == 404
        assert created == []


async def test_a_session_that_is_being_created_cannot_be_joined_by_a_guess(supervise):
    async def on_session_created(session_context):
        ids.append(session_context.id)
        await trio.sleep(1)

    ids = []
    async with supervise(app_of(on_session_created=on_session_created)) as app, trio.open_nursery() as nursery:
        nursery.start_soon(app.get, "/app")
        await trio.testing.wait_all_tasks_blocked()
        assert (await app.get(f"/app?session={ids[0]}")).status == 404


@pytest.mark.parametrize("id", ["room-1", "A.b_c~d-e", "a" * 128, "-"])
async def test_any_well_formed_id_is_served_in_that_mode(supervise, id):
    async with supervise(app_of(), options=ServerOptions(session_ids="any")) as app:
        assert (await app.new_session(id=id)).id == id
        assert (await app.new_session(id=id)).id == id
        assert [session.id for session in app.sessions] == [id]


@pytest.mark.parametrize("id", ["", "two words", "ä", "a" * 129, "a/b", "<b>", "a\n", "a\x00"])
async def test_malformed_ids_are_refused_in_that_mode(supervise, id):
    async with supervise(app_of(), options=ServerOptions(session_ids="any")) as app:
        with pytest.raises(PageRefused) as refused:
            await app.new_session(id=id)
        assert refused.value.status == 400
        assert len(app.sessions) == 0


async def test_without_a_name_an_id_is_generated_in_that_mode_too(supervise):
    async with supervise(app_of(), options=ServerOptions(session_ids="any")) as app:
        assert len((await app.new_session()).id) == 22


async def test_requests_for_one_id_wait_for_one_creation(supervise):
    async def on_session_created(session_context):
        created.append(session_context.id)
        await trio.sleep(1)

    created, statuses = [], []

    async def ask():
        statuses.append((await app.get("/app?session=room")).status)

    options = ServerOptions(session_ids="any")
    async with supervise(app_of(on_session_created=on_session_created), options=options) as app:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert statuses == [200] * 5
        assert created == ["room"]


async def test_a_visitor_who_leaves_does_not_end_the_creation(supervise):
    async def on_session_created(session_context):
        await trio.sleep(1)

    async with supervise(app_of(on_session_created=on_session_created)) as app:
        with trio.move_on_after(0.5):
            await app.get("/app")
        await trio.sleep(1)
        assert len(app.sessions) == 1


# The session that the app chooses.


async def test_the_app_chooses_the_session_of_who_names_none(supervise):
    async def choose_session_id(request):
        return "board" if request.cookies.get("team") == "red" else None

    async with supervise(app_of(choose_session_id=choose_session_id)) as app:
        first = await app.new_session(cookies={"team": "red"})
        second = await app.new_session(cookies={"team": "red"})
        other = await app.new_session()
        assert first.id == second.id == "board" != other.id
        assert (await app.new_session(id=other.id, cookies={"team": "red"})).id == other.id
        assert (await app.new_session(id="board")).id == "board"
        assert len(app.sessions) == 2


@pytest.mark.parametrize("id", ["", "my board", "x" * 129, "\ud800", 7, b"board"])
async def test_an_id_that_is_none_is_500_with_an_incident(supervise, id):
    async with supervise(app_of(choose_session_id=lambda request: id)) as app:
        answer = await app.get("/app")
        assert answer.status == 500
        [incident] = app.incidents
        assert incident.what == "choose_session_id"
        assert incident.id in answer.text
        assert len(app.sessions) == 0
        app.incidents.clear()


async def test_a_choice_that_fails_is_500_with_an_incident_and_one_that_refuses_is_403(supervise):
    error = LookupError("swordfish")

    def choose_session_id(request):
        raise error

    async with supervise(app_of(choose_session_id=choose_session_id)) as app:
        answer = await app.get("/app")
        assert answer.status == 500
        assert "swordfish" not in answer.text
        assert [incident.error for incident in app.incidents] == [error]
        app.incidents.clear()
        error = SessionRefused("closed on Sundays")
        answer = await app.get("/app")
        assert (answer.status, "closed on Sundays" in answer.text) == (403, True)
        assert len(app.sessions) == 0
