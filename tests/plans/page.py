"""The page that explains every heavy statement: written from the plans that were seen, and held against them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.environment import PROJECT
from tests.plans.statements import SECTIONS, Heavy
from tests.plans.watching import Seen

PAGE = PROJECT / "docs" / "explanation" / "query-plans.md"
MARK = "<!-- generated: plans -->\n"
ENTRY = re.compile(r"^`(?P<name>[\w.]+)`(?: \((?P<table>\w+)\))?: .*?^Index: (?P<indexes>.*?)\.$", re.M | re.S)

ByName = Mapping[str, Sequence[Seen]]


def write(seen: ByName) -> None:
    """Write the generated part of the page anew."""
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + "\n".join(_lines(seen)) + "\n")


def indexes_told() -> dict[str, set[str]]:
    """Return the indexes that the page names, by statement."""
    entries = ENTRY.finditer(PAGE.read_text().partition(MARK)[2])
    return {_name(entry["name"], entry["table"]): set(re.findall(r"`(\w+)`", entry["indexes"])) for entry in entries}


def indexes_seen(seen: ByName) -> dict[str, set[str]]:
    """Return the indexes that the plans use, by statement."""
    return {_in_app(name): _indexes(each) for name, each in seen.items()}


def _lines(seen: ByName) -> Iterator[str]:
    for title, statements in SECTIONS.items():
        yield f"\n## {title}"
        for name, about in statements.items():
            yield from _entry(name, about, seen.get(name, ()))


def _entry(name: str, about: Heavy, seen: Sequence[Seen]) -> Iterator[str]:
    function, _, table = _in_app(name).partition(" ")
    indexes = ", ".join(f"`{index}`" for index in sorted(_indexes(seen))) or "none, rows are only added"
    yield f"\n`{function}`{table and f' {table}'}: {about.answers}\n\nIndex: {indexes}.\n"
    # One function may run two statements, about different tables: of each the last one that was seen.
    usual = {_tables(each): each for each in seen if each.verb not in about.whole}
    yield from _block(usual.values())
    for verb, reason in about.whole.items():
        yield f"\nIn {verb} all of it is read: {reason}.\n"
        yield from _block([each for each in seen if each.verb == verb][-1:])


def _block(seen: Iterable[Seen]) -> Iterator[str]:
    for each in seen:
        yield "```text"
        yield from each.plan.lines()
        yield "```"


def _indexes(seen: Iterable[Seen]) -> set[str]:
    return {read.index for each in seen for read in each.plan.reads() if read.index}


def _tables(seen: Seen) -> frozenset[str]:
    return frozenset(read.table for read in seen.plan.reads())


def _in_app(name: str) -> str:
    # A package may export a function by the name of the module it is in: the full name would lead there.
    return name.partition(".")[2]


def _name(function: str, table: str | None) -> str:
    return f"{function} ({table})" if table else function
