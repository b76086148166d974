"""Live, stateful web apps in Python: every session is a supervised trio actor that owns its document."""

from supervisor._version import __version__ as __version__
