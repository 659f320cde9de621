"""README and docs are true: every block runs against a site as `make run` starts it, every link and name exists."""

from __future__ import annotations

import ast
import configparser
import itertools
import json
import os
import pydoc
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class

from notifications.channels.webhook import signed_headers
from smplat.local_environment import KEYS, free_port
from smplat.reference import OWN_APPS, read_settings, stale_pages
from tests import documents
from tests.documents import Block
from tests.environment import PROJECT
from tests.processes import end, wait_until

PAGES = documents.pages()
BLOCKS = [block for page in PAGES for block in documents.blocks_of(page)]
IDS = [documents.name_of(page) for page in PAGES]
READY_SECONDS = 90
PAGE_SECONDS = 120
LANGUAGES = {"bash", "python", "javascript", "output", "console", "text", "toml", "json", "ini", "nginx"}
COMMAND = re.compile(r"manage\.py (\w+)")
MAKE = re.compile(r"^(?:\$ )?make (\w+)", re.MULTILINE)
DOTTED = re.compile(rf"(?:{'|'.join(OWN_APPS)})(?:\.\w+)+")
SETTING = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")

NOT_RUN = {
    "$ make run": "starts the very site that these tests run against",
    "$ make test": "would start itself",
    "$ sudo systemctl enable --now smplat-web smplat-worker-control smplat-worker-bulk smplat-beat smplat-sweeper": (
        "needs systemd"
    ),
    "$ docker compose up": "needs Docker",
    "$ .venv/bin/python -m pip install --require-hashes -r requirements/runtime.txt": "needs the network",
    "$ .venv/bin/python -m pip install gunicorn": "needs the network",
}
"""Commands in `console` blocks: what no test runs, and why."""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run `manage.py up` with the demo; return a folder that looks like the project with this site's state in it."""
    folder = tmp_path_factory.mktemp("work shop")
    for path in PROJECT.iterdir():
        if path.name not in (".smplat", ".env"):
            (folder / path.name).symlink_to(path)
    (folder / ".env").touch()  # named in the environment, so it must be there when the site starts
    log = folder / "up.log"
    with log.open("wb") as output:
        site = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=PROJECT,
            env=_environment(folder) | {"PORT": str(free_port(0)), "EMBEDDED_POSTGRES_DURABLE": "false"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "smplat is ready" in log.read_text() or site.poll() is not None, READY_SECONDS)
        assert site.poll() is None, log.read_text()
        yield folder
        site.send_signal(signal.SIGINT)
        site.wait(30)
    finally:
        end(site)


def test_blocks__run_in_order__do_what_the_page_says(workshop: Path, subtests: pytest.Subtests) -> None:
    for page in PAGES:
        blocks = list(documents.blocks_of(page))
        runnable = [block for block in blocks if block.language in documents.RUN]
        if not runnable:
            continue
        with subtests.test(page=documents.name_of(page)):
            said = run_page(runnable, workshop)

            for before, block in itertools.pairwise(blocks):
                if block.language == "output":
                    text = said[runnable.index(before)]
                    assert not documents.missing_lines(block.text, text), f"{block.place} promises more than:\n{text}"


def run_page(blocks: list[Block], workshop: Path) -> dict[int, str]:
    """Run a page's blocks and return what each printed; fails at the block that fails."""
    result = subprocess.run(
        ["bash", "-c", documents.script_of(blocks)],
        cwd=workshop,
        env=_environment(workshop),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PAGE_SECONDS,
        check=False,
    )
    (workshop / ".env").unlink(missing_ok=True)
    said = documents.said_by_block(result.stdout)
    assert result.returncode == 0, f"{blocks[max(said)].place} failed:\n{said[max(said)]}"
    return said


@pytest.mark.parametrize("block", BLOCKS, ids=[block.place for block in BLOCKS])
def test_block__each__has_a_language_that_somebody_checks(block: Block) -> None:
    assert block.language in LANGUAGES

    if block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "ini":
        configparser.ConfigParser(strict=False, interpolation=None).read_string(block.text)
    elif block.language == "python":
        ast.parse(block.text)
    elif block.language == "text":
        assert not re.search(r"^\s*(\$|make |curl |manage\.py|\.venv/)", block.text, re.MULTILINE), "run it as bash"


def test_console_blocks__are_those_that_cannot_run() -> None:
    lines = {line for block in BLOCKS if block.language == "console" for line in block.text.splitlines()}

    assert {line for line in lines if line.startswith("$ ")} == set(NOT_RUN)


def test_make_targets__named_anywhere__exist() -> None:
    targets = set(re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {found for block in BLOCKS for found in MAKE.findall(block.text)}
    named |= {found for page in PAGES for code in documents.inline_code_of(page) for found in MAKE.findall(code)}

    assert {"run", "test"} <= named <= targets


def test_commands__named_anywhere__exist() -> None:
    texts = [block.text for block in BLOCKS] + [code for page in PAGES for code in documents.inline_code_of(page)]

    named = {found for text in texts for found in COMMAND.findall(text)}

    assert named - set(get_commands()) - {"up", "NAME"} == set()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links__of_each_page__lead_somewhere(page: Path) -> None:
    for link in documents.links_of(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in documents.anchors_of(target), link


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_settings__named_on_each_page__exist(page: Path) -> None:
    source = (PROJECT / "smplat" / "settings.py").read_text()
    known = {setting.name for setting in read_settings(source)} | set(KEYS) | set(SETTING.findall(source))

    named = {code for code in documents.inline_code_of(page) if SETTING.fullmatch(code)}

    assert named <= known | set(os.environ)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_paths__named_on_each_page__exist(page: Path) -> None:
    folders = {path.name for path in PROJECT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    folders -= {"staticfiles"}

    named = {code for code in documents.inline_code_of(page) if code.split("/")[0] in folders and "/" in code}

    assert {
        path for path in named if not any((PROJECT / f"{path.rstrip('/')}{end}").exists() for end in ("", ".py"))
    } == set()


def test_receiver__of_the_alerts_page__takes_what_we_sign_and_nothing_else() -> None:
    [block] = (block for block in BLOCKS if block.page == "docs/how-to/alerts.md" and block.language == "python")
    page: dict[str, Any] = {}
    exec(block.text, page)  # our own page
    secret, body = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw==", b'{"type": "test"}'

    headers = signed_headers(secret, message_id="msg_1", sent_at=datetime(2026, 3, 2, tzinfo=UTC), body=body)

    assert page["is_ours"](headers, body, secret)
    assert not page["is_ours"](headers, body + b" ", secret)


def test_index__links_every_page_of_the_docs() -> None:
    index = PROJECT / "docs" / "index.md"

    linked = {(index.parent / link.partition("#")[0]).resolve() for link in documents.links_of(index)}

    assert {page for page in PAGES if page.is_relative_to(index.parent)} - linked == {index}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_modules__named_on_each_page__exist(page: Path) -> None:
    for code in documents.inline_code_of(page):
        if DOTTED.fullmatch(code):
            assert pydoc.locate(code) is not None, code


def test_reference__generated_parts__are_what_the_code_says() -> None:
    assert list(stale_pages(PROJECT / "docs")) == [], "run manage.py write_reference"


def test_env_example__holds_exactly_the_names_the_settings_read() -> None:
    read = {setting.name for setting in read_settings((PROJECT / "smplat" / "settings.py").read_text())}
    lines = (PROJECT / ".env.example").read_text().splitlines()

    listed = {line.lstrip("#").split("=")[0] for line in lines if re.match(r"#?[A-Z_]+=", line)}

    assert listed == read


def test_settings_table__each_name__says_what_it_means() -> None:
    read = read_settings((PROJECT / "smplat" / "settings.py").read_text())

    assert [setting.name for setting in read if not setting.meaning] == []
    assert set(settings.REQUIRED) <= {setting.name for setting in read}


@pytest.mark.parametrize("name", sorted(name for name, app in get_commands().items() if app in OWN_APPS))
def test_command__each__explains_itself_and_its_arguments(name: str) -> None:
    command = load_command_class(str(get_commands()[name]), name)

    text = command.create_parser("manage.py", name).format_help()

    assert command.help
    assert command.help.split()[0] in text


def _environment(workshop: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "USER") if name in os.environ}
    return kept | {
        "SMPLAT_STATE_DIR": str(workshop / ".smplat"),
        "SMPLAT_ENV_FILE": str(workshop / ".env"),
        "STATIC_ROOT": str(workshop / "staticfiles"),
        "STATIC_FILES": "hashed",  # compressing takes as long as all the rest
    }
