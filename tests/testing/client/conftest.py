"""The kit's client against an app that counts."""

import pytest

from supervisor.application.handlers import Application, NamespaceHandler

from .counter import modify_document, on_add, on_refuse, on_wait


@pytest.fixture
async def app(supervise):
    namespace = {"modify_document": modify_document, "on_add": on_add, "on_refuse": on_refuse, "on_wait": on_wait}
    async with supervise(Application(NamespaceHandler(namespace, where="app"), name="app")) as app:
        yield app


@pytest.fixture
async def session(app):
    return await app.new_session()
