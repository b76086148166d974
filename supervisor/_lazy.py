"""The names of a package that are imported once somebody asks for them (PEP 562).

Who has the kit's pytest plugin installed, or asks the command line for help, doesn't wait for a server that isn't used.
Type checkers read the imports that stand beside the table; tests/codebase/test_exports.py compares both.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`.

    No name may be one of a module in the package: once that is imported, it would be in the name's place.

    Args:
        package: its name.
        homes: by module, the names that it defines, with spaces between: `{"supervisor.server": "Server"}`.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        module = sys.modules[package]
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        value = getattr(importlib.import_module(home_of[name]), name)
        setattr(module, name, value)  # not asked for again
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return get, names, sorted(home_of)
