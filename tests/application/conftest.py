"""Fixtures of the tests of applications."""

import pytest

from supervisor.application.handlers import Handler


class Step(Handler):
    """A handler that writes down its calls, and does what a test says in them: `step(log, "1", created=func)`."""

    def __init__(self, log, name="", **hooks):
        self._log, self._name, self._hooks = log, name, hooks

    async def _do(self, hook, context):
        self._log.append(f"{hook} {self._name}".strip())
        func = self._hooks.get(hook)
        result = func(context) if func else None
        return await result if hasattr(result, "__await__") else result

    def on_application_load(self, app_context):
        return self._do("load", app_context)

    def on_application_unload(self, app_context):
        return self._do("unload", app_context)

    def on_session_created(self, session_context):
        return self._do("created", session_context)

    def on_session_destroyed(self, session_context):
        return self._do("destroyed", session_context)

    def modify_document(self, doc):
        return self._do("modify", doc)


@pytest.fixture
def step():
    return Step
