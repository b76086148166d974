"""Where an app's code and pages come from, and which changed files concern it."""

from __future__ import annotations

import functools
import sysconfig
from pathlib import Path
from typing import Literal, final

import attrs

_PAGES = (("templates",), ("static",))
_OURS = Path(__file__).resolve().parent.parent
_INSTALLED = tuple(
    Path(path).resolve()
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)


@final
@attrs.frozen(kw_only=True)
class Source:
    """What an application was loaded from, so that it can be loaded again."""

    app: str
    """What `load_application` takes: an absolute path, or `module` or `module:function`."""
    name: str
    """The name that it is served under."""
    root: Path
    """The directory of its files, absolute and without symbolic links."""
    file: Path | None = None
    """The file that is the app, where it shares its directory with others; None if all of the directory is its own."""

    def concern_of(self, path: Path) -> Literal["code", "page"] | None:
        """What a change of that file asks for: the code loaded anew, pages loaded anew, or nothing.

        Data files are nothing: an app that writes a file beside its code would be loaded again for ever.
        """
        if self.file is not None:
            return "code" if path.parent == self.root and path.suffix == ".py" else None
        if not path.is_relative_to(self.root):
            return None
        if path.relative_to(self.root).parts[:1] in _PAGES:
            return "page"
        return "code" if path.suffix == ".py" else None

    def holds(self, file: Path) -> bool:
        """Whether a module's file is part of the app: never what was installed, nor anything of ours."""
        if file == self.file:
            return True
        if is_foreign(file):
            return False
        return file.is_relative_to(self.root) if self.file is None else file.parent == self.root


@functools.lru_cache(1_000)  # files of code; the frames of one stack alone ask forty times, and the disk each time
def is_own(file: str) -> bool:
    """Whether a frame's file is code of an app: neither foreign nor made up, as `<string>` is."""
    path = Path(file)
    return path.is_absolute() and not is_foreign(path.resolve())


def is_foreign(file: Path) -> bool:
    """Whether a file of code is Python's, an installed package's, or ours; given absolute and without links."""
    return file.is_relative_to(_OURS) or any(file.is_relative_to(place) for place in _INSTALLED)
