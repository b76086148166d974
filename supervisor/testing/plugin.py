"""The pytest plugin: all its parts. What they need of the server is imported when a test asks for it."""

pytest_plugins = [
    "supervisor.testing.plugins.checks",
    "supervisor.testing.plugins.failures",
    "supervisor.testing.plugins.harness",
    "supervisor.testing.plugins.schedules",
    "supervisor.testing.plugins.stories",
]
