"""README and docs as data: their code blocks, links and inline code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.environment import PROJECT

FENCE = re.compile(r"^( *)```(.*)$")
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
RUN = ("bash", "python")
MARK = "@@block "


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language and its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Say where it stands, as an editor understands it."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return README, changelog and every page of the docs."""
    return [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """Return a page's path inside the project."""
    return str(page.relative_to(PROJECT))


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    start, indent, language, text = 0, 0, "", list[str]()
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = FENCE.match(line)
        if fence and start:
            yield Block(name_of(page), start, language, "\n".join(text) + "\n")
            start, text = 0, []
        elif fence:
            start, indent, language = number, len(fence[1]), fence[2].strip()
        elif start:
            text.append(line[indent:])


def prose_of(page: Path) -> str:
    """Return a page without its blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def links_of(page: Path) -> list[str]:
    """Return the targets of a page's links and pictures that lie inside the project."""
    return [target for target in LINK.findall(prose_of(page)) if "://" not in target]


def inline_code_of(page: Path) -> list[str]:
    """Return the inline code of a page's prose."""
    return INLINE.findall(prose_of(page))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that the headings of a page make."""
    heads = re.findall(r"^#+ (.+)$", prose_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def script_of(blocks: Sequence[Block]) -> str:
    """Return one bash script that runs the blocks of a page in order; what one sets, the next may use."""
    lines = ["set -euo pipefail"]
    for number, block in enumerate(blocks):
        lines.append(f"echo '{MARK}{number}'")
        if block.language == "bash":
            lines.append(block.text)
        else:
            lines.append(f".venv/bin/python manage.py shell -v 0 <<'END_OF_PYTHON'\n{block.text}\nEND_OF_PYTHON")
    return "\n".join(lines)


def said_by_block(said: str) -> dict[int, str]:
    """Return what each block of a script printed, by its number."""
    parts = said.split(MARK)[1:]
    return {int(part.split("\n", 1)[0]): part.split("\n", 1)[1] for part in parts}


def missing_lines(expected: str, said: str) -> list[str]:
    """Return the lines of an `output` block that were not said; `...` stands for anything within a line."""
    lines = [line.strip() for line in expected.splitlines() if line.strip() not in ("", "...")]
    wanted = {line: ".*".join(map(re.escape, re.split(r" ?\.\.\. ?", line))) for line in lines}
    return [line for line, pattern in wanted.items() if not re.search(pattern, said)]
