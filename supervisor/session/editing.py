"""What clients may edit in a session's document, and how an edit is handled: checked by the app, then done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy, deepcopy
from typing import Any, Literal, TypeAlias, final

import attrs

from supervisor.actor.call_check import check_takes
from supervisor.document import pointer
from supervisor.document.edit import EditOperation, apply_edit, check_edit
from supervisor.errors import InvalidValue, PatchError, Rejected
from supervisor.session.connection import ConnectionContext

Keys: TypeAlias = tuple[str | int, ...]
Place = Callable[[], Keys | None]
"""Where an edit is now, which others' changes may have moved; None: what it was to change has gone."""

_GONE = "What this was to change has changed meanwhile."
MAX_SHOWN = 500
"""Characters of a text that repeats what a client has written."""
ANY = "*"
"""The step of a pattern that stands for any one."""


@final
@attrs.frozen(kw_only=True)
class Edit:
    """What a client wants to change: what the function of `Document.allow_edits()` is asked about."""

    op: Literal["set", "insert", "remove"]
    """`set` a key, which may be new, or an existing index; `insert` before an index, or at the end; `remove`."""
    path: str
    """The place, as a JSON Pointer (RFC 6901)."""
    keys: tuple[str | int, ...]
    """The same, step by step: keys of dicts are str, indexes of lists are int."""
    value: Any = None
    """The new value, for `set` and `insert`: any JSON, untrusted."""
    connection: ConnectionContext | None
    """Whose edit it is."""


class EditConflict(Rejected):
    """What an edit was to change has gone meanwhile: nobody's failure."""


Judge = Callable[[Any, Edit], Any]


@final
class EditRules:
    """The patterns of one session, and the function that is asked for each.

    Args:
        on_changed: called when the patterns are others.
    """

    def __init__(self, on_changed: Callable[[], None]) -> None:
        self._on_changed = on_changed
        # By pattern, with its steps, in the order of their adding.
        self._rules: dict[str, tuple[list[str], Judge | None]] = {}

    @property
    def patterns(self) -> tuple[str, ...]:
        """What clients may edit."""
        return tuple(self._rules)

    def allow(self, pattern: str, func: Judge | None) -> None:
        """See `Document.allow_edits`."""
        if func is not None:
            if not callable(func):
                raise TypeError(f"a function that checks edits must be callable, not {func!r}")
            check_takes(func, ("doc", "edit"))
        try:
            steps = pointer.split(pattern)
        except PatchError as error:
            raise ValueError(f"what clients may edit is a pattern such as /notes or /todo/*: {error}") from None
        for step in steps:
            if ANY in step and step != ANY:
                raise ValueError(
                    f"{pattern!r} is not a pattern of what clients may edit: {ANY} stands for one whole step and can't"
                    f" be part of {step!r}; write it alone, as in /todo/*, which also allows everything inside items"
                )
        is_new = self._rules.pop(pattern, None) is None
        self._rules[pattern] = (steps, func)
        if is_new:
            self._on_changed()

    def forbid(self, pattern: str) -> None:
        """See `Document.forbid_edits`."""
        if self._rules.pop(pattern, None) is None:
            allowed = ", ".join(self._rules) or "nothing"
            raise ValueError(f"edits of {pattern!r} were not allowed; clients may edit: {allowed}")
        self._on_changed()

    def restore(self, rules: EditRules) -> None:
        """Have the rules that another one has, and no others; tells nobody."""
        self._rules = dict(rules._rules)

    def copy(self) -> EditRules:
        """The same rules once more, of which nobody is told."""
        copy = EditRules(lambda: None)
        copy.restore(self)
        return copy

    def take(
        self, root: Callable[[], Any], document: Any, edit: EditOperation, connection: ConnectionContext, place: Place
    ) -> Awaitable[None] | None:
        """Do an edit in the transaction that is open, if it is allowed; what is returned must be awaited.

        Args:
            root: gives the document's data.
            document: for the author's function.
            edit: what the client wishes.
            connection: whose it is.
            place: where it is now; its own keys say where it was.

        Raises:
            Rejected: it isn't allowed, or the author's function or the document doesn't take it.
            EditConflict: what it was to change has gone.
        """
        edit = _placed(edit, place)
        func = self._judge_of(edit)
        _checked(check_edit, root(), edit)
        if func is None:
            _checked(apply_edit, root(), edit)
            return None
        wish = _wish(edit, connection)
        verdict = func(document, wish)
        if hasattr(verdict, "__await__"):
            return _finish(root, edit, wish, verdict, place)
        _do(root, edit, wish, verdict, place)
        return None

    def _judge_of(self, edit: EditOperation) -> Judge | None:
        """The function of the longest pattern that allows it; of several such, of the one that was added last."""
        allowing = [(len(steps), func) for steps, func in self._rules.values() if _allows(steps, edit)]
        if not allowing:
            raise Rejected(f"{shown(pointer.join(edit.keys))} can't be edited by clients.")
        longest = max(length for length, _ in allowing)
        return [func for length, func in allowing if length == longest][-1]


def _allows(steps: list[str], edit: EditOperation) -> bool:
    keys = edit.keys
    if len(steps) > len(keys) or any(step not in (ANY, str(key)) for step, key in zip(steps, keys, strict=False)):
        return False
    return len(steps) < len(keys) or edit.op == "set" or steps[-1] == ANY


def _wish(edit: EditOperation, connection: ConnectionContext) -> Edit:
    """The edit as the function is asked about it, with a copy of the value, which the function may change.

    What the client has written must be known afterwards, since that is what it shows.
    """
    try:
        value = deepcopy(edit.value)
    except RecursionError:
        raise Rejected("The value is nested too deeply.") from None
    return Edit(op=edit.op, path=pointer.join(edit.keys), keys=edit.keys, value=value, connection=connection)


async def _finish(root: Callable[[], Any], edit: EditOperation, wish: Edit, verdict: Any, place: Place) -> None:
    _do(root, edit, wish, await verdict, place)


def _do(root: Callable[[], Any], edit: EditOperation, wish: Edit, verdict: object, place: Place) -> None:
    """Do what the author's function made of it; where that is may have changed by what the function did."""
    if verdict is not None:
        if not isinstance(verdict, Edit) or (verdict.op, verdict.keys, verdict.path) != (wish.op, wish.keys, wish.path):
            got = "another op or place" if isinstance(verdict, Edit) else type(verdict).__qualname__
            raise TypeError(
                f"a function that checks an edit must return None or attrs.evolve(edit, value=…); got {got}"
            )
        value = verdict.value
        # The very container that is there already would be no change, though the client shows another value.
        edit = attrs.evolve(edit, value=copy(value) if isinstance(value, dict | list) else value)
    _checked(apply_edit, root(), _placed(edit, place))


def _placed(edit: EditOperation, place: Place) -> EditOperation:
    keys = place()
    if keys is None:
        raise EditConflict(_GONE)
    return attrs.evolve(edit, keys=keys)


def _checked(act: Callable[[Any, EditOperation], None], root: Any, edit: EditOperation) -> None:
    try:
        act(root, edit)
    except PatchError:
        raise EditConflict(_GONE) from None
    except InvalidValue as error:
        raise Rejected(shown(str(error))) from None


def shown(text: str) -> str:
    """The text, short enough to be kept and logged: it repeats what a client has written. What is cut is the middle."""
    half = MAX_SHOWN // 2
    return text if len(text) <= MAX_SHOWN else f"{text[:half]}…{text[-half:]}"
