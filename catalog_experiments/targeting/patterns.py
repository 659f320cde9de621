"""Regular expressions that mean the same in JavaScript and in Python, and cannot run away.

Conditions are evaluated inside requests on text that visitors send, so a pattern must finish quickly on any of it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from catalog_experiments.targeting.refusal import TargetingError

LONGEST_PATTERN = 500
LONGEST_TEXT = 500
"""Characters of an attribute that a pattern is matched against; the rest is cut off."""

_PIECE = re.compile(
    r"(?P<foreign>\[\^?\]|\{,)|(?P<escape>\\.)|(?P<set>\[(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?(?:[:=!]|<[=!]))?)|(?P<close>\))|(?P<choice>\|)"
    r"|(?P<repeat>[*+]|\{\d+(?:,\d*)?\})|(?P<option>\?)|(?P<other>.)",
    re.DOTALL,
)
_MOST_UNBOUNDED = 3
_FOREIGN_ESCAPES = frozenset(f"\\{letter}" for letter in "AZzGKQEpPN")
_TRANSLATIONS = {"$": r"\Z", ".": r"[^\n\r\u2028\u2029]"}


@lru_cache(maxsize=1024)
def compile_pattern(source: str, path: str) -> re.Pattern[str]:
    r"""Return a pattern written for JavaScript as one of Python.

    Two differences remain, far from any real condition: `\s` knows ASCII blanks only, and characters beyond the basic
    plane count as one.

    Raises:
        TargetingError: the two languages read it differently, it may take forever, or it is invalid.

    >>> bool(compile_pattern("-12-25$", "bday").search("1980-12-25"))
    True
    """
    if len(source) > LONGEST_PATTERN:
        raise TargetingError(f"{path}: longer than {LONGEST_PATTERN} characters; use a simpler pattern.")
    pieces = tuple(_PIECE.finditer(source))
    _refuse_foreign(pieces, path)
    _refuse_slow(pieces, path)
    try:
        return re.compile("".join(_translated(piece) for piece in pieces), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise TargetingError(f"{path}: no valid regular expression ({error}).") from error


def _translated(piece: re.Match[str]) -> str:
    return _TRANSLATIONS.get(piece[0], piece[0]) if piece.lastgroup == "other" else piece[0]


def _refuse_foreign(pieces: tuple[re.Match[str], ...], path: str) -> None:
    before = ""
    for piece in pieces:
        kind, text = str(piece.lastgroup), piece[0]
        is_possessive = text == "+" and before in ("repeat", "option")
        is_extension = kind == "option" and before == "open"
        if kind == "foreign" or is_possessive or is_extension or text in _FOREIGN_ESCAPES:
            raise TargetingError(
                f"{path}: {text!r} there does not mean the same in every SDK; use plain groups and sets."
            )
        before = kind


def _refuse_slow(pieces: tuple[re.Match[str], ...], path: str) -> None:
    if sum(_is_unbounded(piece) for piece in pieces) > _MOST_UNBOUNDED:
        raise TargetingError(f"{path}: repeats without end more than {_MOST_UNBOUNDED} times; use a simpler pattern.")
    # Per open group: does it hold anything of variable length? Repeating such a group explodes on hostile text.
    varies, has_just_closed_varying = [False], False
    for piece in pieces:
        if piece.lastgroup == "repeat" and has_just_closed_varying:
            raise TargetingError(f"{path}: a repeated group may hold no repetition, option or choice; repeat only one.")
        has_just_closed_varying = False
        if piece.lastgroup == "open":
            varies.append(False)
        elif piece.lastgroup == "close" and len(varies) > 1:
            has_just_closed_varying = varies.pop()
            varies[-1] |= has_just_closed_varying
        else:
            varies[-1] |= _is_variable(piece)


def _is_unbounded(piece: re.Match[str]) -> bool:
    return piece.lastgroup == "repeat" and (piece[0] in "*+" or piece[0].endswith(",}"))


def _is_variable(piece: re.Match[str]) -> bool:
    is_fixed = piece.lastgroup == "repeat" and piece[0][0] == "{" and "," not in piece[0]
    return piece.lastgroup in ("repeat", "option", "choice") and not is_fixed
