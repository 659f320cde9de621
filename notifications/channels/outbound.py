"""One POST to an address outside: only https, only public addresses, no redirect, bounded in time and size.

The name is resolved once and the connection goes to that very address, so that a name server cannot answer with a
public address for the check and a private one for the connection.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter

CONNECT_SECONDS, READ_SECONDS, BODY_SECONDS = 3.05, 10.0, 10.0
BODY_LIMIT_BYTES = 65_536
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedTarget(ValueError):
    """The address may not be posted to; the message says why and never quotes it."""


@dataclass(frozen=True)
class Reply:
    """What the peer answered: status, headers, and at most 64 kB of its body as text."""

    status: int
    headers: Mapping[str, str]
    text: str


def post(url: str, *, body: bytes, headers: Mapping[str, str], hosts: frozenset[str] | None = None) -> Reply:
    """Send `body` and return the reply, whatever its status.

    Args:
        url: The secret address; it appears in no exception of ours.
        body: What to send.
        headers: Beside Host, which is set here.
        hosts: The only names allowed; None allows every public host. Settings may allow private ones for tests.

    Raises:
        RefusedTarget: The address is none we post to.
        requests.RequestException: No reply. Its text may quote the address: never store or log it.
        OSError: The name could not be resolved.
    """
    parts = _checked(url, hosts)
    address = _resolved(parts)
    with requests.Session() as session:
        session.trust_env = False  # no proxy, no netrc: neither may learn the address
        session.mount(f"{parts.scheme}://", _PinnedAdapter(address, parts))
        with session.post(
            url,
            data=body,
            headers={**headers, "Host": parts.netloc},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
            stream=True,
        ) as response:
            return Reply(response.status_code, dict(response.headers), _read(response))


def is_public(address: Address) -> bool:
    """Tell whether an address lies in the open internet, also when it hides another one inside.

    >>> [is_public(ipaddress.ip_address(text)) for text in ("93.184.216.34", "::ffff:10.0.0.1", "64:ff9b::7f00:1")]
    [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


class _PinnedAdapter(HTTPAdapter):
    """Connects to one checked address while the certificate is still checked against the name."""

    def __init__(self, address: Address, parts: SplitResult) -> None:
        super().__init__(max_retries=0)
        self.address, self.parts = address, parts

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: Any = None
    ) -> tuple[Any, Any]:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        names = {"server_hostname": self.parts.hostname, "assert_hostname": self.parts.hostname}
        return {**host, "host": str(self.address)}, {**pool, **(names if self.parts.scheme == "https" else {})}


def _checked(url: str, hosts: frozenset[str] | None) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RefusedTarget("The address cannot be read.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isascii():
        raise RefusedTarget("The address is not a plain web address.")
    if parts.username is not None or parts.password is not None:
        raise RefusedTarget("The address carries a user name.")
    if not settings.ALERT_ALLOW_PRIVATE_TARGETS:
        _check_public_form(parts, port, hosts)
    return parts


def _check_public_form(parts: SplitResult, port: int | None, hosts: frozenset[str] | None) -> None:
    if parts.scheme != "https" or port not in {None, 443}:
        raise RefusedTarget("Only https on its own port is allowed.")
    if hosts is not None and parts.hostname not in hosts:
        raise RefusedTarget(f"Only {', '.join(sorted(hosts))} is allowed.")


def _resolved(parts: SplitResult) -> Address:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise RefusedTarget("The host name cannot be read.") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if settings.ALERT_ALLOW_PRIVATE_TARGETS:
        _check_local_form(parts, addresses)
    elif not all(is_public(address) for address in addresses):
        raise RefusedTarget("The host lies in a private network.")
    return addresses[0]


def _check_local_form(parts: SplitResult, addresses: list[Address]) -> None:
    """Refuse plain http to anybody but this machine, even where private targets are allowed."""
    if parts.scheme == "http" and not all(address.is_loopback for address in addresses):
        raise RefusedTarget("Plain http is allowed to this machine only.")


def _read(response: requests.Response) -> str:
    """Return the first 64 kB of the body; a peer that drips is not listened to for longer than ten seconds."""
    until, body = time.monotonic() + BODY_SECONDS, b""
    try:
        for chunk in response.iter_content(4096):
            body += chunk
            if len(body) >= BODY_LIMIT_BYTES or time.monotonic() > until:
                break
    except requests.RequestException:
        pass  # the status has been said; what was read of the body must do
    return body[:BODY_LIMIT_BYTES].decode("utf-8", "replace")
