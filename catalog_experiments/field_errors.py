"""How a refused field is told of: its name, a code and the remedy; and the checks of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class FieldError(NamedTuple):
    """One refused field: its name, a stable code and a sentence that names the remedy."""

    field: str
    code: str
    message: str


class InvalidFields(ValueError):
    """Fields are refused; `errors` holds one entry per fault with the field's path, a code and the remedy."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        """Keep the single faults and join their sentences."""
        self.errors = tuple(errors)
        super().__init__(" ".join(f"{error.field}: {error.message}" for error in self.errors))


def whole_number_errors(field: str, value: object, lowest: int, highest: int) -> Iterator[FieldError]:
    """Yield what is wrong with a number that must be whole and in `[lowest, highest]`."""
    if isinstance(value, bool) or not isinstance(value, int):
        yield FieldError(field, "type", "Use a whole number, without quotes.")
    elif not lowest <= value <= highest:
        yield FieldError(field, "range", f"Use a whole number from {lowest} to {highest}.")


def flag_errors(field: str, value: object) -> Iterator[FieldError]:
    """Yield what is wrong with a value that must be true or false."""
    if not isinstance(value, bool):
        yield FieldError(field, "type", "Use true or false.")


def choice_errors(field: str, value: object, choices: Iterable[str]) -> Iterator[FieldError]:
    """Yield what is wrong with a value that must be one of the choices."""
    known = tuple(choices)
    if value not in known:
        yield FieldError(field, "choice", f"Use one of: {', '.join(repr(choice) for choice in known)}.")
