"""The web application as it is, with the number of the answering process in each answer's headers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from smplat.wsgi import application as site

Start = Callable[..., Any]


def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Answer as the site does."""

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, [*headers, ("X-Process", str(os.getpid()))], *rest)

    return site(environ, start)
