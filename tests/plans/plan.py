"""A plan as PostgreSQL explains it in JSON: what it reads of the tables that grow, by which index, and how it looks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Node = Mapping[str, Any]

FACTS = ("catalog_bundle_exposures", "catalog_checkout_orders", "catalog_bundle_order_outcomes")
"""The facts: they grow with every visitor."""

WATCHED = (*FACTS, "catalog_bundle_experiment_open_units", "notifications_deliveries", "storefront_orders")
"""Every table that may only be read by an index."""

CONFLICTS = "conflicts"
"""The condition of an index that tells whether a row is there already."""

LARGE = 1_000
"""Rows from which on a table has to be read by an index; of fewer a look at all is the quickest."""

PASSED_THROUGH = {
    "Aggregate", "Append", "BitmapAnd", "BitmapOr", "Gather", "Gather Merge", "Group", "Hash", "Incremental Sort",
    "Limit", "LockRows", "Materialize", "Memoize", "Merge Append", "ProjectSet", "Result", "SetOp", "Sort",
    "Subquery Scan", "Unique", "WindowAgg",
}  # fmt: skip
"""Steps that a short plan leaves out: they read nothing."""


BLOCKING = {"Aggregate", "Hash", "Sort", "WindowAgg"}
"""Steps that read all of what is below them before they give the first row: no limit above reaches further down."""


@dataclass(frozen=True)
class Read:
    """One access to a watched table; `partition` is the table itself where there are none, `index` '' for none.

    `is_whole` says that all of it is read: from end to end, or along an index that narrows nothing down, and no limit
    ends it soon.
    """

    table: str
    partition: str
    index: str
    is_whole: bool


@dataclass(frozen=True)
class Catalog:
    """What the database knows: the index of a whole table by that of a partition, columns, partial ones, row counts."""

    parents: Mapping[str, str]
    columns: Mapping[str, Sequence[str]]
    partial: Set[str]
    sizes: Mapping[str, int]

    def narrowed(self, index: str, condition: str) -> list[str]:
        """Return the columns of an index that a condition is about; none unless the first one is among them.

        A condition on later columns alone has the whole index read.
        """
        columns = self.columns.get(index, ())
        told = [own for own in columns if condition == CONFLICTS or re.search(rf"\b{own}\b", condition)]
        return told if told[:1] == list(columns[:1]) else []

    def index(self, name: str) -> str:
        """Return an index by the name it has on the whole table."""
        return self.parents.get(name, name)


@dataclass(frozen=True)
class Plan:
    """One explained statement."""

    root: Node
    catalog: Catalog

    def reads(self) -> set[Read]:
        """Return every access to a watched table."""
        return set(self._reads(self.root, is_limited=False))

    def _reads(self, node: Node, *, is_limited: bool) -> Iterator[Read]:
        kind, relation = node["Node Type"], node.get("Relation Name", "")
        is_limited = kind == "Limit" or (is_limited and kind not in BLOCKING)
        if table := watched(relation):
            for index, condition in _indexes(node):
                is_free = is_limited and "Filter" not in node
                is_led = bool(self.catalog.narrowed(index, condition)) or index in self.catalog.partial
                is_whole = not (is_led or is_free)
                is_large = self.catalog.sizes.get(relation, 0) >= LARGE
                yield Read(table, relation, self.catalog.index(index), is_whole and is_large)
        for child in node.get("Plans", ()):
            yield from self._reads(child, is_limited=is_limited)

    def lines(self) -> list[str]:
        """Return the plan in short: joins and what they join, one line each, deeper ones indented by two."""
        return list(self._lines(self.root, 0))

    def _lines(self, node: Node, depth: int) -> Iterator[str]:
        told = self._told(node)
        if told:
            name = node.get("Subplan Name", "")
            prefix = f"{name.removeprefix('CTE ')}: " if name.startswith("CTE ") else ""
            yield f"{'  ' * depth}{prefix}{told}"
            depth += 1
        children = [list(self._lines(child, depth)) for child in node.get("Plans", ()) if not _is_bitmap(child)]
        # The partitions of a table look alike.
        for lines, _ in groupby(children):
            yield from lines

    def _told(self, node: Node) -> str:
        kind, relation = node["Node Type"], node.get("Relation Name", "")
        if kind in PASSED_THROUGH or relation.endswith("_default"):
            return ""
        if kind == "ModifyTable":
            arbiters = ", ".join(self.catalog.index(name) for name in node.get("Conflict Arbiter Indexes", ()))
            into = f"{node['Operation'].lower()} {short(watched(relation) or relation)}"
            return f"{into}, conflicts by {arbiters}" if arbiters else into
        if watched(relation):
            return f"{short(watched(relation))} {' and '.join(self._how(node))}"
        if leaf := relation or node.get("CTE Name") or node.get("Function Name") or node.get("Table Function Name"):
            return short(leaf)
        return _join(node) if "Join" in kind or kind == "Nested Loop" else kind.lower()

    def _how(self, node: Node) -> Iterator[str]:
        for name, condition in _indexes(node):
            if not name:
                yield "from end to end"
                continue
            index = self.catalog.index(name)
            narrowed = ", ".join(self.catalog.narrowed(name, condition))
            yield f"by {index} ({narrowed})" if narrowed else f"along {index}"


def watched(relation: str) -> str:
    """Return the watched table that a relation is, or is a partition of; '' for any other."""
    return next((table for table in WATCHED if relation == table or relation.startswith(f"{table}_2")), "")


def short(name: str) -> str:
    """Return a table's name without what all of them have in common."""
    return re.sub(r"^catalog_(bundle_experiment_|bundle_|checkout_)?", "", name)


def _indexes(node: Node) -> list[tuple[str, str]]:
    """Return the indexes that one access uses, each with its condition; a scan from end to end has none."""
    kind = node["Node Type"]
    if kind == "ModifyTable":
        return [(name, CONFLICTS) for name in node.get("Conflict Arbiter Indexes", ())]
    if kind in ("Index Scan", "Index Only Scan"):
        return [(node["Index Name"], node.get("Index Cond", ""))]
    if kind == "Bitmap Heap Scan":
        return [found for child in node["Plans"] for found in _bitmaps(child)]
    return [("", "")]


def _bitmaps(node: Node) -> Iterator[tuple[str, str]]:
    if node["Node Type"] == "Bitmap Index Scan":
        yield node["Index Name"], node.get("Index Cond", "")
    for child in node.get("Plans", ()):
        yield from _bitmaps(child)


def _is_bitmap(node: Node) -> bool:
    return node["Node Type"] in ("Bitmap Index Scan", "BitmapAnd", "BitmapOr")


def _join(node: Node) -> str:
    kind, way = node["Node Type"], node.get("Join Type", "Inner")
    name = kind.removesuffix(" Join").lower()
    return f"{name} join" if way == "Inner" else f"{way.lower()} {name} join"
