"""The parts of the pytest plugin `supervisor.testing.plugin`."""
