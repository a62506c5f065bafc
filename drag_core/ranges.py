"""Numbers and modes that a user sets: the range of each beside its name, all else refused in one sentence."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, get_args

from .errors import DragError


@dataclass(frozen=True)
class Span:
    """Lowest and highest value, what the number does (a sentence for the user), and an editor's step."""

    low: float
    high: float
    says: str
    step: float | None = None


def span(low: float, high: float, says: str, step: float | None = None) -> dict[str, Span]:
    """Makes the metadata of a dataclass's field.

    As in `steps: int = field(metadata=span(1, 100, "Training steps."))`.
    """
    return {"span": Span(low, high, says, step)}


def span_of(field: Field[Any]) -> Span | None:
    """Returns what span() has put on a field; None if nothing."""
    found = field.metadata.get("span")
    return found if isinstance(found, Span) else None


@dataclass(frozen=True)
class Ranged:
    """A dataclass whose fields with a span() are held against it when it is made.

    Raises DragError for the first that is outside, not a number, or not whole where it is an int.
    """

    whose: ClassVar[str] = "the number"  # for the sentence

    def __post_init__(self) -> None:
        for field in fields(self):
            limits, value = span_of(field), getattr(self, field.name)
            if limits is None or field.type == "bool":
                continue
            whole = field.type != "int" or (isinstance(value, int) and not isinstance(value, bool))
            if not whole or not isinstance(value, (int, float)) or not limits.low <= value <= limits.high:
                kind = "a whole number" if field.type == "int" else "a number"
                raise DragError(
                    f"{self.whose} {field.name} is {value!r}; it must be {kind} from {limits.low:g} to "
                    f"{limits.high:g}"
                )


def check_mode(what: str, value: object, modes: Any) -> None:
    """Raises DragError if `value` is none of `modes`, a Literal.

    what: names it in the sentence.
    """
    allowed = get_args(modes)
    if value not in allowed:
        listed = ", ".join(map(str, allowed[:-1])) + f" or {allowed[-1]}"
        raise DragError(f"{what} is {value!r}; it must be {listed}")
