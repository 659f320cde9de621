"""The typed guardrail settings of an experiment: strict in, small out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from catalog_experiments.field_errors import FieldError

PauseRule = Literal["evidence", "persistent"]
Mode = Literal["enforce", "shadow"]
DropMetric = Literal["conversion", "take_rate", "revenue"]

BOUNDS = ("min_acceptance_rate", "max_acceptance_rate", "max_drop_vs_control")
"""The bounds a configuration may set, in the order they are judged and shown."""

DEFAULT_ALPHA = 0.05
DEFAULT_CONSECUTIVE = 3
LARGEST_SAMPLE = 1_000_000
LONGEST_REASON = 500
_MOST_CONSECUTIVE = 100
_FAR = 10**9


class GuardrailConfigError(ValueError):
    """The guardrail settings are refused; `errors` holds one entry per field."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        """Keep the single errors and join their sentences."""
        super().__init__(" ".join(error.message for error in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class GuardrailConfig:
    """The guardrails of one experiment. Rates and the drop are fractions in (0, 1); None means not enforced.

    `alpha` is the chance of a false pause per experiment and phase. `consecutive` counts batches and matters only to
    the pause rule `persistent`. `min_sample_size` is the older name of the sample guardrail.
    """

    min_acceptance_rate: float | None = None
    max_acceptance_rate: float | None = None
    max_drop_vs_control: float | None = None
    min_sample_size: int | None = None
    alpha: float = DEFAULT_ALPHA
    pause_rule: PauseRule = "evidence"
    consecutive: int = DEFAULT_CONSECUTIVE
    mode: Mode = "enforce"
    drop_metric: DropMetric = "conversion"
    pause_rule_reason: str = ""

    @property
    def bounds(self) -> tuple[str, ...]:
        """Names of the enforced bounds, in the order of `BOUNDS`."""
        return tuple(name for name in BOUNDS if getattr(self, name) is not None)


def effective_minimum(config: GuardrailConfig, sample_size_guardrail: int) -> int:
    """Return the sample below which a variant is collecting: the experiment's own unless 0, else the older alias.

    >>> effective_minimum(GuardrailConfig(min_sample_size=80), 0), effective_minimum(GuardrailConfig(), 250)
    (80, 250)
    """
    return sample_size_guardrail or config.min_sample_size or 0


def parse_config(raw: Mapping[str, object]) -> GuardrailConfig:
    """Return the settings of a JSON object; null means not set.

    Raises:
        GuardrailConfigError: an unknown key, a wrong type (booleans and texts are no numbers), a value out of range,
            or values that contradict each other; every fault is listed.

    >>> parse_config({"min_acceptance_rate": 0.1}).bounds
    ('min_acceptance_rate',)
    >>> parse_config({"min_acceptance_rate": 35})
    Traceback (most recent call last):
    catalog_experiments.guardrails.config.GuardrailConfigError: min_acceptance_rate is a fraction; for 35 % write 0.35.
    """
    config, errors = _read(raw)
    if errors:
        raise GuardrailConfigError(errors)
    return config


def refusals(raw: Mapping[str, object]) -> tuple[FieldError, ...]:
    """Say everything that is wrong with settings somebody chooses; () for sound ones.

    Beyond what `parse_config` refuses, the rule `persistent` wants a reason, which is kept with it. That is asked when
    settings are chosen, not when they are judged: what runs already goes on being judged.

    >>> [error.field for error in refusals({"pause_rule": "persistent", "alpha": 2})]
    ['alpha', 'pause_rule_reason']
    """
    config, errors = _read(raw)
    return (*errors, *_unexplained(config))


def dump_config(config: GuardrailConfig) -> dict[str, object]:
    """Return the settings as a JSON object without defaults; `parse_config` of it gives the same settings.

    >>> dump_config(GuardrailConfig(min_acceptance_rate=0.1))
    {'min_acceptance_rate': 0.1}
    """
    default = GuardrailConfig()
    return {
        each.name: getattr(config, each.name)
        for each in fields(config)
        if getattr(config, each.name) != getattr(default, each.name)
    }


def _read(raw: Mapping[str, object]) -> tuple[GuardrailConfig, tuple[FieldError, ...]]:
    """Return what can be read, with the default for what cannot, and every fault."""
    reading = _Reading(raw)
    reading.refuse_unknown()
    parsed = {name: reading.read(name, parser) for name, parser in _PARSERS.items()}
    config = GuardrailConfig(**{name: value for name, value in parsed.items() if value is not None})  # type: ignore[arg-type]  # each parser returns its field's type
    return config, (*reading.errors, *_contradictions(config, raw))


def _unexplained(config: GuardrailConfig) -> tuple[FieldError, ...]:
    if config.pause_rule != "persistent" or config.pause_rule_reason:
        return ()
    message = (
        "The rule persistent pauses many healthy experiments and stands outside every stated error; "
        "say in pause_rule_reason why it is wanted all the same."
    )
    return (FieldError("pause_rule_reason", "required", message),)


class _Refused(ValueError):
    """A value is refused: code and sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class _Reading:
    raw: Mapping[str, object]
    errors: list[FieldError] = field(default_factory=list)

    def refuse_unknown(self) -> None:
        for name in sorted(str(key) for key in self.raw.keys() - _PARSERS.keys()):
            known = ", ".join(_PARSERS)
            self.errors.append(FieldError(name, "unknown", f"{name} is no guardrail; known are {known}."))

    def read(self, name: str, parser: Callable[[str, object], object]) -> object:
        value = self.raw.get(name)
        if value is None:
            return None
        try:
            return parser(name, value)
        except _Refused as refused:
            self.errors.append(FieldError(name, refused.code, str(refused)))
            return None


def _contradictions(config: GuardrailConfig, raw: Mapping[str, object]) -> list[FieldError]:
    errors = []
    lowest, highest = config.min_acceptance_rate, config.max_acceptance_rate
    if lowest is not None and highest is not None and lowest >= highest:
        message = f"min_acceptance_rate ({lowest}) must lie below max_acceptance_rate ({highest})."
        errors.append(FieldError("min_acceptance_rate", "order", message))
    if raw.get("consecutive") is not None and config.pause_rule != "persistent":
        message = 'consecutive applies only to "pause_rule": "persistent"; leave it out or set that rule.'
        errors.append(FieldError("consecutive", "order", message))
    if raw.get("drop_metric") is not None and raw.get("max_drop_vs_control") is None:
        message = "drop_metric applies only beside max_drop_vs_control; leave it out or set that bound."
        errors.append(FieldError("drop_metric", "order", message))
    if config.pause_rule_reason and config.pause_rule != "persistent":
        message = 'pause_rule_reason applies only to "pause_rule": "persistent"; leave it out or set that rule.'
        errors.append(FieldError("pause_rule_reason", "order", message))
    return errors


def _fraction(name: str, value: object) -> float:
    number = _number(name, value)
    if 1 <= number <= 100:
        raise _Refused("percent", f"{name} is a fraction; for {number:g} % write {number / 100:g}.")
    if not 0 < number < 1:
        raise _Refused("range", f"{name} must lie strictly between 0 and 1, not at {number:g}.")
    return number


def _alpha(name: str, value: object) -> float:
    number = _number(name, value)
    if not 0 < number < 0.5:
        raise _Refused("range", f"{name} is a chance of error above 0 and below 0.5, such as 0.05; not {number:g}.")
    return number


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Refused("type", f"{name} must be a number such as 0.1, without quotes.")
    # Beyond this every bound is missed alike, and a huge integer would not convert.
    number = float(min(max(value, -_FAR), _FAR)) if isinstance(value, int) else value
    if not math.isfinite(number):
        raise _Refused("type", f"{name} must be a finite number.")
    return number


def _whole(lowest: int, highest: int) -> Callable[[str, object], int]:
    def parse(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _Refused("type", f"{name} must be a whole number, without quotes.")
        if not lowest <= value <= highest:
            raise _Refused("range", f"{name} must lie between {lowest} and {highest}.")
        return value

    return parse


def _choice(*options: str) -> Callable[[str, object], str]:
    def parse(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in options:
            raise _Refused("choice", f"{name} must be one of: {', '.join(options)}.")
        return value

    return parse


def _sentence(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _Refused("type", f"{name} must be a text.")
    if len(value) > LONGEST_REASON:
        raise _Refused("too_long", f"{name} must have at most {LONGEST_REASON} characters.")
    if "\0" in value:
        raise _Refused("type", f"{name} must not hold a null character.")
    return value.strip()


_PARSERS: Mapping[str, Callable[[str, object], object]] = {
    "min_acceptance_rate": _fraction,
    "max_acceptance_rate": _fraction,
    "max_drop_vs_control": _fraction,
    "min_sample_size": _whole(0, LARGEST_SAMPLE),
    "alpha": _alpha,
    "pause_rule": _choice("evidence", "persistent"),
    "consecutive": _whole(1, _MOST_CONSECUTIVE),
    "mode": _choice("enforce", "shadow"),
    "drop_metric": _choice("conversion", "take_rate", "revenue"),
    "pause_rule_reason": _sentence,
}
