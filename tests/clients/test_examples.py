"""The JavaScript of the docs does what it says (their Python and their calls run with the rest of the docs)."""

from __future__ import annotations

import os
import subprocess

from tests import documents
from tests.clients.conftest import CLIENT_KEY, Site
from tests.clients.programs import FOLDER
from tests.clients.states import variants
from tests.storefront.entries import make_entry


def test_javascript_of_the_docs__against_our_server__prints_a_decision(site: Site) -> None:
    site.publish(make_entry(slug="cup-and-saucer", variants=variants([1, 1])))
    blocks = [
        block for page in documents.pages() for block in documents.blocks_of(page) if block.language == "javascript"
    ]

    printed = [run_block(block.text, site) for block in blocks]

    decided = {"control SPLIT true", "test SPLIT true"}
    node, browser, growthbook = printed
    assert node == browser
    assert node in decided
    assert f"experiment {node.split()[0]}" in growthbook


def run_block(text: str, site: Site) -> str:
    """Return what a block prints, run where its packages are."""
    assert (FOLDER / "node_modules").is_dir(), "run `make test` once: it installs the clients"
    done = subprocess.run(
        ["node", "--input-type=module"],
        input=text,
        cwd=FOLDER,
        env={**os.environ, "SHOP": site.address, "CLIENT_KEY": CLIENT_KEY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
