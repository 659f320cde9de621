"""The generated parts of docs/reference: read from a settings module, and filled into pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test.utils import override_settings

from smplat.reference import PARTS, Setting, filled, read_settings, stale_pages, write_pages

SOURCE = """
# Where state lies.
STATE = Path(env.str("STATE_DIR", default=str(BASE_DIR / ".state")))

# --- Mail -----------
# The mail server; unset, no mail.
HOST = env.str("MAIL_HOST", default="")
# Its login.
USER = env.str("MAIL_USER", default="")
PASSWORD = env.str("MAIL_PASSWORD", default="")
ADDRESS = env.str("ADDRESS", default=f"http://localhost:{PORT}")
FLAGS = {
    # Whether to send.
    "send": env.bool("MAIL_SEND", default=not DEBUG),
    "wait": env.float("MAIL_WAIT", default=1.5),
    "form": env.choice("MAIL_FORM", ("plain", "rich"), default="plain"),
}
"""


def test_read_settings__each_way_of_writing__gives_name_default_meaning_and_section() -> None:
    read = {setting.name: setting for setting in read_settings(SOURCE)}

    assert read["STATE_DIR"] == Setting("STATE_DIR", "text", ".state", "Where state lies.", "Files")
    assert read["MAIL_HOST"].meaning == "The mail server; unset, no mail."
    assert read["MAIL_HOST"].section == "Mail"
    assert read["MAIL_PASSWORD"].meaning == "Its login."
    assert read["ADDRESS"].default == "http://localhost:{PORT}"
    assert (read["MAIL_SEND"].kind, read["MAIL_SEND"].default) == ("true or false", "not DEBUG")
    assert (read["MAIL_WAIT"].kind, read["MAIL_WAIT"].default) == ("number", "1.5")
    assert (read["MAIL_FORM"].kind, read["MAIL_FORM"].default) == ("one of plain, rich", "plain")


def test_filled__part_nobody_generates__raises() -> None:
    with pytest.raises(KeyError, match="wishes"):
        filled("<!-- generated: wishes -->\n<!-- end -->")


def test_write_pages__twice__changes_the_stale_page_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARTS, "settings", lambda: "a table")
    page = tmp_path / "settings.md"
    page.write_text("# Settings\n\n<!-- generated: settings -->\nold\n<!-- end -->\n\nBy hand.\n")

    assert write_pages(tmp_path) == ["settings.md"]

    assert page.read_text() == "# Settings\n\n<!-- generated: settings -->\n\na table\n\n<!-- end -->\n\nBy hand.\n"
    assert write_pages(tmp_path) == []
    assert list(stale_pages(tmp_path)) == []


def test_write_reference__check_on_a_stale_page__fails_and_writes_nothing(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "old.md"
    page.parent.mkdir()
    page.write_text("<!-- generated: commands -->\n<!-- end -->\n")

    with override_settings(BASE_DIR=tmp_path), pytest.raises(CommandError, match=r"run write_reference: old\.md"):
        call_command("write_reference", "--check")

    assert page.read_text() == "<!-- generated: commands -->\n<!-- end -->\n"
