"""A block that isn't entered by `async with` says that it is to be."""

import contextlib
import inspect

import pytest

from supervisor.testing import hand_driven, supervise, supervise_process
from supervisor.testing.block import opens_block

OPENERS = pytest.mark.parametrize("opener", [supervise, supervise_process, hand_driven])


@opens_block
async def room(number: int):
    """A room."""
    try:
        yield number
    except ValueError:
        pass
    else:
        raise LookupError("nobody was there")


async def test_it_is_entered_and_left_as_any_other(autojump_clock):
    async with room(3) as entered:
        assert entered == 3
        raise ValueError("kept")
    with pytest.raises(LookupError, match="nobody was there"):
        async with room(4):
            pass
    assert (room.__doc__, list(inspect.signature(room).parameters)) == ("A room.", ["number"])


async def test_it_is_entered_once(autojump_clock):
    block = room(3)
    with contextlib.suppress(LookupError):
        async with block:
            pass
    with pytest.raises(
        RuntimeError, match=r"^this block was entered before, which can be done once; call room\(\) again$"
    ):
        async with block:
            pytest.fail("it must not begin")


@OPENERS
def test_with_alone_does_not_enter_it(opener):
    way = (
        rf"^{opener.__name__}\(\) is entered by `async with {opener.__name__}\(…\) as …:` in an `async def`; `with` al"
    )
    with pytest.raises(TypeError, match=way), opener("app"):
        pass


@OPENERS
async def test_there_is_nothing_to_await(opener):
    with pytest.raises(TypeError, match=r"is entered by `async with .* there is nothing to await$"):
        await opener("app")


@OPENERS
def test_what_is_inside_is_not_there_before(opener):
    app = opener("app")
    with pytest.raises(AttributeError, match=r"is entered by `async with .*; new_session is there inside of it$"):
        app.new_session()
