"""The operators of the subset: an operand in, a check of one attribute's value out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from catalog_experiments.targeting.coercion import identity, to_number, to_text
from catalog_experiments.targeting.patterns import LONGEST_TEXT, compile_pattern
from catalog_experiments.targeting.refusal import TargetingError

Check = Callable[[object], bool]


def compile_operator(name: str, operand: object, path: str) -> Check:
    """Return the check of an operator other than `$not`.

    Raises:
        TargetingError: the operator is none of the subset, or its operand is wrong.
    """
    if name not in _COMPILERS:
        known = ", ".join(sorted((*_COMPILERS, "$not")))
        raise TargetingError(f"{path}: no operator of the subset; use one of {known}.")
    return _COMPILERS[name](operand, path)


def _compile_membership(operand: object, path: str) -> Check:
    if not isinstance(operand, list | tuple):
        raise TargetingError(f"{path}: must be a list of values.")
    for member in operand:
        if isinstance(member, Mapping | list | tuple):
            raise TargetingError(f"{path}: lists only texts, numbers, true, false and null.")
    wanted = frozenset(identity(member) for member in operand)
    return lambda actual: (
        any(identity(each) in wanted for each in actual)
        if isinstance(actual, list | tuple)
        else identity(actual) in wanted
    )


def _compile_absence(operand: object, path: str) -> Check:
    is_in = _compile_membership(operand, path)
    return lambda actual: not is_in(actual)


def _compile_equality(operand: object, path: str) -> Check:
    _require_scalar(operand, path)
    wanted = identity(operand)
    return lambda actual: identity(actual) == wanted


def _compile_inequality(operand: object, path: str) -> Check:
    is_equal = _compile_equality(operand, path)
    return lambda actual: not is_equal(actual)


def _require_scalar(operand: object, path: str) -> None:
    if isinstance(operand, Mapping | list | tuple):
        raise TargetingError(f"{path}: takes a text, a number, true, false or null.")


def _compile_order(is_ordered: Callable[[float, float], bool]) -> Callable[[object, str], Check]:
    def compile_operand(operand: object, path: str) -> Check:
        if isinstance(operand, bool) or not isinstance(operand, int | float | str):
            raise TargetingError(f"{path}: takes a number or a text.")
        if not isinstance(operand, str):
            return lambda actual: is_ordered(to_number(actual), operand)
        # Texts compare letter by letter, by UTF-16 code units as in JavaScript, where lists and objects are texts too;
        # numbers, truth values and null compare as numbers.
        units, number = _code_units(operand), to_number(operand)
        return lambda actual: (
            is_ordered(*_ranks(_code_units(to_text(actual)), units))
            if isinstance(actual, str | list | tuple | Mapping)
            else is_ordered(to_number(actual), number)
        )

    return compile_operand


def _ranks(left: bytes, right: bytes) -> tuple[int, int]:
    return (left > right, left < right)


def _code_units(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _compile_existence(operand: object, path: str) -> Check:
    if not isinstance(operand, bool):
        raise TargetingError(f"{path}: takes true or false.")
    return lambda actual: (actual is not None) is operand


def _compile_pattern(operand: object, path: str) -> Check:
    if not isinstance(operand, str):
        raise TargetingError(f"{path}: takes a regular expression as text.")
    pattern = compile_pattern(operand, path)
    return lambda actual: pattern.search(to_text(actual)[:LONGEST_TEXT]) is not None


_COMPILERS: Mapping[str, Callable[[object, str], Check]] = {
    "$in": _compile_membership,
    "$nin": _compile_absence,
    "$eq": _compile_equality,
    "$ne": _compile_inequality,
    "$gt": _compile_order(lambda left, right: left > right),
    "$gte": _compile_order(lambda left, right: left >= right),
    "$lt": _compile_order(lambda left, right: left < right),
    "$lte": _compile_order(lambda left, right: left <= right),
    "$exists": _compile_existence,
    "$regex": _compile_pattern,
}
