"""Values of environment variables: a misspelled one is refused by name instead of meaning something else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

FALSE_WORDS = ("false", "off", "no", "n", "0", "")
KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


class EnvironmentValues(environ.Env):  # type: ignore[misc]  # django-environ comes without types
    """django-environ, but for one thing: a value that cannot be what it should be names its variable."""

    def get_value(self, var: str, cast: Any = None, **options: Any) -> Any:
        """Return the variable's value as `cast`.

        Raises:
            ImproperlyConfigured: it is set to something else, such as HTTPS=ture, or not set and without default.
        """
        given = os.environ.get(var, "")
        if cast is bool and not self._is_switch(given):
            raise _refused(var, given, cast)
        try:
            return super().get_value(var, cast=cast, **options)
        except ValueError as error:
            raise _refused(var, given, cast) from error

    def choice(self, var: str, choices: Sequence[str], *, default: str) -> str:
        """Return the variable's value, which is one of the choices.

        Raises:
            ImproperlyConfigured: it is set to another word.
        """
        value = str(self.get_value(var, default=default))
        if value not in choices:
            raise ImproperlyConfigured(f"{var} is {value!r}; it must be one of {', '.join(choices)}.")
        return value

    def _is_switch(self, given: str) -> bool:
        return given.lower().strip() in (*self.BOOLEAN_TRUE_STRINGS, *FALSE_WORDS)


def _refused(var: str, given: str, cast: Any) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{var} is {given!r}; it must be {KINDS.get(cast, 'something else')}.")
