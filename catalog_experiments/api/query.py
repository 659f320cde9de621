"""Query parameters by allowlist: each known by name, given once, and of its own type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ParseError
from rest_framework.request import Request

Row = TypeVar("Row")
MAX_PAGE = 100
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CURSOR = "a cursor from a Link header"
LIMIT = OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": MAX_PAGE})
BEFORE = OpenApiParameter(
    "before", str, description="Go on after this cursor; the Link header gives the whole address."
)


class InvalidQuery(ParseError):
    """A query parameter is unknown, repeated or malformed."""

    default_code = "invalid_query"


def check_query(request: Request, known: Iterable[str]) -> None:
    """Refuse unknown and repeated parameters.

    Raises:
        InvalidQuery: naming the parameter and those that are known.
    """
    allowed = sorted(known)
    for name, values in request.query_params.lists():
        if name not in allowed:
            takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            raise InvalidQuery(f"This address has no parameter {name[:40]!r}: {takes}.")
        if len(values) > 1:
            raise InvalidQuery(f"Give {name} once.")


def read_limit(request: Request) -> int:
    """Return the page size, 100 when not given.

    Raises:
        InvalidQuery: not a number from 1 to 100.
    """
    text = request.query_params.get("limit", str(MAX_PAGE))
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_PAGE:
        refuse("limit", f"a number from 1 to {MAX_PAGE}")
    return int(text)


def read_flag(request: Request, name: str) -> bool:
    """Return a flag given as `true` or `false`, False when not given.

    Raises:
        InvalidQuery: any other spelling.
    """
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        refuse(name, "true or false")
    return text == "true"


def read_id(request: Request, name: str) -> UUID | None:
    """Return an id given as a cursor, None when not given.

    Raises:
        InvalidQuery: no id.
    """
    text = request.query_params.get(name)
    return None if text is None else parse_id(name, text)


def parse_id(name: str, text: str) -> UUID:
    """Return the id that a cursor holds.

    Raises:
        InvalidQuery: it holds none.
    """
    if not re.fullmatch(ID, text):
        refuse(name, CURSOR)
    return UUID(text)


def refuse(name: str, wanted: str) -> NoReturn:
    """Say which parameter is malformed and what it must be.

    Raises:
        InvalidQuery: always.
    """
    raise InvalidQuery(f"The parameter {name} must be {wanted}.")


def page_of(
    request: Request, found: Sequence[Row], *, limit: int, cursor: Callable[[Row], object]
) -> tuple[Sequence[Row], str]:
    """Return at most `limit` rows, and the Link header that leads to the older ones: "" where there are none.

    Args:
        request: for this page.
        found: the page's rows and, where there are more, one of the next page.
        limit: rows of a page.
        cursor: what the next call names a row by, in its `before`.
    """
    page = found[:limit]
    if len(found) == len(page):
        return page, ""
    query = urlencode({"limit": limit, "before": cursor(page[-1])})
    return page, f'<{request.path}?{query}>; rel="next"'
