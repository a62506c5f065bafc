"""What all of the core raises for bad input."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import Any, ClassVar


class DragError(ValueError):
    """Bad input, said in one sentence meant for the user: what was wrong, with the value, and what to do.

    home: the module in which the class is; `__module__` says another, because ComfyUI writes it before the
        sentence, and there it is the path of the pack's folder.
    """

    home: ClassVar[str] = __name__
    __module__ = "builtins"

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.home, cls.__module__ = cls.__module__, DragError.__module__

    def __reduce__(self) -> tuple[Callable[..., DragError], tuple[Any, ...], dict[str, Any] | None]:
        return _again, (self.home, type(self).__qualname__, *self.args), self.__dict__ or None


def _again(home: str, name: str, *said: Any) -> DragError:
    """An error out of its pickle, which can't find the class where `__module__` says."""
    error: DragError = attrgetter(name)(import_module(home))(*said)
    return error
