"""Folders for sockets: ours alone, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from smplat.embedded.folders import UnsafeFolderError, make_private, socket_folder


def test_make_private__open_folder_of_ours__is_closed(tmp_path: Path) -> None:
    (folder := tmp_path / "sockets").mkdir(mode=0o755)

    make_private(folder)

    assert folder.stat().st_mode & 0o777 == 0o700


def test_make_private__link_laid_by_somebody__is_refused(tmp_path: Path) -> None:
    (link := tmp_path / "sockets").symlink_to(tmp_path)

    with pytest.raises(UnsafeFolderError, match="belongs to somebody else"):
        make_private(link)


def test_make_private__folder_of_another_user__is_refused(tmp_path: Path) -> None:
    (folder := tmp_path / "sockets").mkdir()

    with pytest.raises(UnsafeFolderError):
        make_private(folder, owner=folder.stat().st_uid + 1)


def test_socket_folder__two_projects__do_not_share_it(tmp_path: Path) -> None:
    assert socket_folder(tmp_path / "one") != socket_folder(tmp_path / "two")
    assert socket_folder(tmp_path / "one") == socket_folder(tmp_path / "two" / ".." / "one")
