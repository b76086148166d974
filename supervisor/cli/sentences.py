"""What people are told of an exception that ends a command: a sentence each, and none where it is a bug."""

from __future__ import annotations

from supervisor.errors import SupervisorError


def sentences(error: BaseException) -> list[str]:
    """Why a command failed, by the exceptions in `error`; empty if one of them is a bug, which nobody foresaw."""
    if not isinstance(error, BaseExceptionGroup):
        return [" ".join(str(error).split())] if isinstance(error, (SupervisorError, OSError)) else []
    parts = [sentences(part) for part in error.exceptions]
    return [sentence for part in parts for sentence in part] if all(parts) else []
