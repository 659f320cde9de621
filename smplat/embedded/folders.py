"""Short private folders for unix sockets, whose addresses may not pass about a hundred bytes."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


class UnsafeFolderError(RuntimeError):
    """Someone else owns the folder our sockets would live in."""


def socket_folder(home: Path) -> Path:
    """Return the folder for the sockets of the service whose data lie in `home` (the same in each process)."""
    digest = hashlib.blake2b(os.fsencode(home.resolve()), digest_size=6).hexdigest()
    return Path(f"/tmp/smplat-{os.geteuid()}-{digest}")  # noqa: S108 - owner and mode are checked by make_private


def make_private(folder: Path, owner: int | None = None) -> None:
    """Create `folder` with mode 0700 for `owner` (a user id; ourselves when None), or check that it is just that.

    Raises:
        UnsafeFolderError: When the folder is a link, or belongs to another user.
    """
    wanted = os.geteuid() if owner is None else owner
    try:
        folder.mkdir(mode=0o700)
        if wanted != os.geteuid():
            os.chown(folder, wanted, -1)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != wanted:
            raise UnsafeFolderError(f"{folder} belongs to somebody else; remove it and start again") from None
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
