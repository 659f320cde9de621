"""Conditions: validated, compiled once, evaluated many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from catalog_experiments.targeting.coercion import is_same_json, is_truthy, to_number, to_text
from catalog_experiments.targeting.operators import Check, compile_operator
from catalog_experiments.targeting.refusal import TargetingError

Attributes = Mapping[str, object]
Predicate = Callable[[Attributes], bool]

GROUPS = frozenset({"$and", "$or", "$not"})
DEEPEST = 20
"""Levels a condition may be nested."""


def validate(condition: object) -> None:
    """Refuse a condition that the server and the SDKs would not evaluate alike.

    Raises:
        TargetingError: naming the path and the remedy.

    >>> validate({"country": {"$in": ["US", "UK"]}, "$not": {"age": {"$lt": 18}}})
    >>> validate({"tags": {"$size": 2}})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    catalog_experiments.targeting.refusal.TargetingError: tags.$size: no operator of the subset; use one of $eq, ...
    """
    _compile_condition(condition, "", 0)


def matches(condition: object, attributes: Attributes) -> bool:
    """Say whether the attributes meet the condition; a broken condition is met by nobody. Never raises.

    >>> matches({"address.country": "US"}, {"address": {"country": "US"}}), matches({"age": {"$size": 1}}, {})
    (True, False)
    """
    return compile_condition(condition)(attributes)


def compile_condition(condition: object) -> Predicate:
    """Return the condition as a function of the attributes, for use on many units. Neither ever raises.

    Source: GrowthBook SDK build guide, `evalCondition`.
    """
    try:
        predicate = _compile_condition(condition, "", 0)
    except TargetingError:
        return lambda _attributes: False

    def is_met(attributes: Attributes) -> bool:
        try:
            return predicate(attributes)
        except (ArithmeticError, TypeError, ValueError, RecursionError):
            return False

    return is_met


def _compile_condition(condition: object, path: str, depth: int) -> Check:
    if not isinstance(condition, Mapping):
        raise TargetingError(f'{path or "condition"}: must be an object such as {{"country": "US"}}.')
    if depth > DEEPEST:
        raise TargetingError(f"{path}: nested deeper than {DEEPEST} levels; write it flatter.")
    checks = tuple(_compile_entry(str(key), value, path, depth) for key, value in condition.items())
    if len(checks) == 1:
        return checks[0]
    return _all_of(checks)


def _compile_entry(key: str, value: object, path: str, depth: int) -> Check:
    here = f"{path}.{key}" if path else key
    if key == "$not":
        inner = _compile_condition(value, here, depth + 1)
        return lambda attributes: not inner(attributes)
    if key in GROUPS:
        members = _compile_members(value, here, depth)
        return _any_of(members) if key == "$or" else _all_of(members)
    if key.startswith("$"):
        raise TargetingError(f"{here}: no group of the subset; use one of {', '.join(sorted(GROUPS))}.")
    check = _compile_value(value, here, depth + 1)
    return _at_path(key, check)


def _compile_members(value: object, path: str, depth: int) -> tuple[Check, ...]:
    if not isinstance(value, list | tuple):
        raise TargetingError(f"{path}: must be a list of conditions.")
    return tuple(_compile_condition(member, f"{path}[{i}]", depth + 1) for i, member in enumerate(value))


def _any_of(members: tuple[Check, ...]) -> Check:
    # An empty $or holds, as in the reference SDK.
    return lambda attributes: not members or any(member(attributes) for member in members)


def _all_of(members: tuple[Check, ...]) -> Check:
    def are_all_met(attributes: object) -> bool:
        # A plain loop: a generator would cost more than most members do.
        for member in members:  # noqa: SIM110
            if not member(attributes):
                return False
        return True

    return are_all_met


def _at_path(dotted: str, check: Check) -> Check:
    parts = tuple(dotted.split("."))
    if len(parts) == 1:
        # The test for `dict` first: that for any mapping is ten times as slow.
        return lambda attributes: check(
            attributes.get(dotted) if isinstance(attributes, dict) or isinstance(attributes, Mapping) else None  # noqa: SIM101
        )

    def check_nested(attributes: object) -> bool:
        current = attributes
        for part in parts:
            current = current.get(part) if isinstance(current, Mapping) else None
        return check(current)

    return check_nested


def _compile_value(value: object, path: str, depth: int) -> Check:
    if isinstance(value, bool):
        return lambda actual: actual is not None and is_truthy(actual) is value
    if isinstance(value, str):
        return lambda actual: to_text(actual) == value
    if isinstance(value, int | float):
        return lambda actual: to_number(actual) == value
    if value is None:
        return lambda actual: actual is None
    if isinstance(value, Mapping) and any(str(key).startswith("$") for key in value):
        return _compile_operators(value, path, depth)
    _refuse_hidden_operators(value, path, depth)
    return lambda actual: is_same_json(actual, value)


def _refuse_hidden_operators(value: object, path: str, depth: int) -> None:
    if depth > DEEPEST:
        raise TargetingError(f"{path}: nested deeper than {DEEPEST} levels; write it flatter.")
    if isinstance(value, Mapping):
        for key, member in value.items():
            if str(key).startswith("$"):
                raise TargetingError(f"{path}: {key} stands inside a literal value; write the attribute as {path}.")
            _refuse_hidden_operators(member, f"{path}.{key}", depth + 1)
    if isinstance(value, list | tuple):
        for member in value:
            _refuse_hidden_operators(member, path, depth + 1)


def _compile_operators(operators: Mapping[str, object], path: str, depth: int) -> Check:
    if depth > DEEPEST:
        raise TargetingError(f"{path}: nested deeper than {DEEPEST} levels; write it flatter.")
    checks = tuple(_compile_operator(name, operand, path, depth) for name, operand in operators.items())
    if len(checks) == 1:
        return checks[0]
    return lambda actual: all(check(actual) for check in checks)


def _compile_operator(name: str, operand: object, path: str, depth: int) -> Check:
    here = f"{path}.{name}"
    if name == "$not":
        inner = _compile_value(operand, here, depth + 1)
        return lambda actual: not inner(actual)
    return compile_operator(name, operand, here)
