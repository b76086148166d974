"""The pytest plugin: all its parts.

It is loaded wherever it is installed: what its parts need of trio and the server is imported when a test asks for it.
"""

pytest_plugins = [
    "supervisor.testing.plugins.checks",
    "supervisor.testing.plugins.deadlines",
    "supervisor.testing.plugins.failures",
    "supervisor.testing.plugins.harness",
    "supervisor.testing.plugins.schedules",
    "supervisor.testing.plugins.stories",
    "supervisor.testing.plugins.unawaited",
]
