"""Loading an app: from a directory, a script, a module, or a function of a module, each executed once."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import re
import secrets
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from supervisor.actor.guard import text_of
from supervisor.application.handlers import Application, Handler, NamespaceHandler
from supervisor.application.hooks import is_hook
from supervisor.application.source import Source, is_own
from supervisor.errors import ApplicationError

PRIVATE = "_supervisor_app_"
"""What the names of modules begin with that no import statement can find."""
_PRIVATE_NAME = re.compile(rf"\b{PRIVATE}(\w+)_[0-9a-f]{{8}}\b")
HOOK_FILES = ("lifecycle.py", "app_hooks.py", "server_lifecycle.py")
"""Where a directory's hooks may be: our name first, then Bokeh's newer and older one."""


def load_application(app: str, *, name: str | None = None) -> Application:
    """Load an app from a directory, `x.py`, `module` or `module:function`.

    Its code is executed once, here. A module that can only be found from the current directory is found.

    Args:
        app: what to load; the function of `module:function` takes the document, or is an `Application`.
        name: the name to serve it under; by default that of the directory, file, module or function.

    Raises:
        ApplicationError: it isn't there, doesn't compile, raises while it is executed, or is not an app.
    """
    path = Path(app)
    if path.is_dir():
        application = _named(app, name or path.resolve().name, load_directory(path))
        application.source = Source(app=str(path.absolute()), name=application.name, root=path.resolve())
        return application
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise ApplicationError(f"there is no app at {app}: the file doesn't exist")
        application = _named(app, name or path.stem, [_load_script(path)])
        file = path.resolve()
        application.source = Source(app=str(path.absolute()), name=application.name, root=file.parent, file=file)
        return application
    if re.fullmatch(r"[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?", app):
        return _load_from_module(app, name)
    raise ApplicationError(f"there is no app at {app}: give a directory, a file x.py, a module, or module:function")


def without_private_names(text: str) -> str:
    """A text about an app's modules with the names by which their author knows them: `board.main`."""
    return _PRIVATE_NAME.sub(r"\1", text)


def load_directory(directory: Path) -> list[Handler]:
    """The handlers of an app's directory: its hooks' file, then its `main.py`.

    The directory becomes a package under a private, unique name, so that `from .main import Quote` works and apps with
    files of equal names don't meet.
    """
    hook_files = [file for file in HOOK_FILES if (directory / file).is_file()]
    if len(hook_files) > 1:
        raise ApplicationError(
            f"{directory} has {' and '.join(hook_files)}, which are names for the same thing; keep one of them"
        )
    has_main = (directory / "main.py").is_file()
    if not has_main and not hook_files:
        raise ApplicationError(f"there is no app in {directory}: it has neither main.py nor {HOOK_FILES[0]}")
    package = _make_package(directory)
    handlers: list[Handler] = []
    hooks: dict[str, object] = {}
    if hook_files:
        module = _execute(f"{package}.{hook_files[0].removesuffix('.py')}", directory / hook_files[0])
        hooks = vars(module)
        handlers.append(
            NamespaceHandler(
                hooks,
                where=str(directory / hook_files[0]),
                hooks_only=True,
                directory=directory.resolve(),
            )
        )
    if has_main:
        module = _execute(f"{package}.main", directory / "main.py")
        # A hook that one file imports from the other is still one hook.
        own = {name: value for name, value in vars(module).items() if not (is_hook(name) and hooks.get(name) is value)}
        handlers.append(NamespaceHandler(own, where=str(directory / "main.py"), directory=directory.resolve()))
    return handlers


def _make_package(directory: Path) -> str:
    name = f"{PRIVATE}{re.sub(r'[^0-9A-Za-z]', '_', directory.resolve().name)}_{secrets.token_hex(4)}"
    init = directory / "__init__.py"
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    if init.is_file():
        found = importlib.util.spec_from_file_location(
            name, init, submodule_search_locations=[str(directory.resolve())]
        )
        assert found is not None
        spec = found
    else:
        spec.submodule_search_locations = [str(directory.resolve())]
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    if init.is_file():
        assert spec.loader is not None
        with _translated(init):
            spec.loader.exec_module(package)
    return name


def _execute(module: str, file: Path) -> ModuleType:
    with _translated(file):
        return importlib.import_module(module)


def _load_script(file: Path) -> Handler:
    name = f"{PRIVATE}{re.sub(r'[^0-9A-Za-z]', '_', file.stem)}_{secrets.token_hex(4)}"
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise ApplicationError(f"{file} is not a Python file; an app's script ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _translated(file):
        spec.loader.exec_module(module)
    return _not_empty(NamespaceHandler(vars(module), where=str(file)), str(file))


def _load_from_module(app: str, name: str | None) -> Application:
    module_name, _, attribute = app.partition(":")
    spec = _find_module(module_name)
    if spec is None:
        # A program that was installed doesn't look where it is called; what the module itself imports may be there too.
        sys.path.append(os.getcwd())
        importlib.invalidate_caches()
        spec = _find_module(module_name)
    if spec is None:
        sys.path.pop()
        raise ApplicationError(f"there is no app at {app}: neither a directory nor a module of that name")
    with _translated(Path(spec.origin or module_name)):
        module = importlib.import_module(module_name)
    if not attribute:
        handler = _not_empty(NamespaceHandler(vars(module), where=module_name), module_name)
        return _with_source(_named(app, name or module_name.rpartition(".")[2], [handler]), app)
    try:
        found = getattr(module, attribute)
    except AttributeError:
        raise ApplicationError(f"there is no app at {app}: the module has no {attribute}") from None
    if isinstance(found, Application):
        return _with_source(found, app)
    handler = NamespaceHandler(vars(module), where=module_name, modify_document=found)
    return _with_source(_named(app, name or attribute, [handler]), app)


def _with_source(application: Application, app: str) -> Application:
    """Note where the app of a module comes from: the module's file, or the whole package that it is in."""
    top = sys.modules.get(app.partition(":")[0].partition(".")[0])
    paths, file = list(getattr(top, "__path__", ())), getattr(top, "__file__", None)
    if paths:
        application.source = Source(app=app, name=application.name, root=Path(paths[0]).resolve())
    elif isinstance(file, str):
        found = Path(file).resolve()
        application.source = Source(app=app, name=application.name, root=found.parent, file=found)
    return application


def _find_module(name: str) -> importlib.machinery.ModuleSpec | None:
    with _translated(Path(name)):  # a parent package is executed to look into it
        try:
            return importlib.util.find_spec(name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{name}.".startswith(f"{error.name}."):
                return None
            raise  # it is there, and imports what isn't
        except ValueError:  # a module that was made by hand, as `__main__` is
            return None


def _not_empty(handler: NamespaceHandler, where: str) -> Handler:
    if handler.is_empty:
        raise ApplicationError(
            f"there is no app in {where}: it has no modify_document(doc), no @receives handler and no hook"
        )
    return handler


def _named(app: str, name: str, handlers: list[Handler]) -> Application:
    try:
        return Application(handlers, name=name)
    except ValueError as error:
        raise ApplicationError(f"{app} can't be served: {error}") from None


@contextlib.contextmanager
def _translated(file: Path) -> Iterator[None]:
    """Turn what an app's code raises while it is executed into one sentence with file and line."""
    try:
        yield
    except SyntaxError as error:
        line = "" if error.lineno is None else f", line {error.lineno}"
        raise ApplicationError(f"{error.filename or file}{line}: syntax error: {error.msg}") from error
    except ApplicationError:
        raise
    except (Exception, SystemExit) as error:
        text = without_private_names(text_of(error))
        raise ApplicationError(
            f"{_culprit(error, file)}: {type(error).__name__} while the app was loaded: {text}"
        ) from error


def own_part_of(error: BaseException) -> BaseException:
    """What an app's code raised, with a traceback from its own first line on: how it was imported says nothing."""
    cause = error.__cause__ if isinstance(error, ApplicationError) and error.__cause__ is not None else error
    own = cause.__traceback__
    while own is not None and not is_own(own.tb_frame.f_code.co_filename):
        own = own.tb_next
    return cause.with_traceback(own)


def _culprit(error: BaseException, file: Path) -> str:
    """The last line of the app's own code on the way to the error, or the file if there is none."""
    directory = file.resolve().parent  # it may be an installed package's, whose code is nobody's own elsewhere
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).parent == directory or is_own(frame.filename):
            return f"{frame.filename}, line {frame.lineno}"
    return str(file)
