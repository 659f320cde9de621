"""The parts of docs/reference that code knows better than people: settings, commands, addresses, tables.

A page marks such a part with `<!-- generated: NAME -->` and `<!-- end -->`; `manage.py write_reference` fills it.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from django.apps import apps
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.models import Field, Model
from django.urls import Resolver404, resolve
from drf_spectacular.generators import SchemaGenerator

OWN_APPS = ("catalog_experiments", "storefront", "notifications", "smplat")
PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SECTION = re.compile(r"# --- (.+?) -*$")
KINDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "list": "list, by commas",
    "choice": "one of",
}
METHODS = ("get", "post", "put", "patch", "delete")
VARIABLE = re.compile(r"\{\w+\}")


@dataclass(frozen=True)
class Setting:
    """One name that the settings read from the environment; `default` as one would write it there, or in Python."""

    name: str
    kind: str
    default: str
    meaning: str
    section: str


def write_pages(folder: Path) -> list[str]:
    """Fill the generated parts of every page below `folder`; return the names of the pages that changed."""
    changed = list(stale_pages(folder))
    for page in changed:
        page.write_text(filled(page.read_text()))
    return [str(page.relative_to(folder)) for page in changed]


def stale_pages(folder: Path) -> Iterator[Path]:
    """Yield the pages whose generated parts are not what the code says now."""
    for page in sorted(folder.rglob("*.md")):
        text = page.read_text()
        if filled(text) != text:
            yield page


def filled(text: str) -> str:
    """Return a page with its generated parts made anew.

    Raises:
        KeyError: a part has a name that nobody generates.
    """
    return PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n\n{part[3]}", text)


def read_settings(source: str) -> list[Setting]:
    """Return what a settings module reads from the environment, in its order.

    The meaning is the comment above the line, or that of the line before when the two belong together.
    """
    lines = source.splitlines()
    calls = sorted(filter(_reads_a_name, ast.walk(ast.parse(source))), key=lambda call: call.lineno)
    found: dict[str, Setting] = {}
    for call in calls:
        name = str(ast.literal_eval(call.args[0]))
        default = next((_as_text(word.value) for word in call.keywords if word.arg == "default"), "")
        meaning = " ".join(_comment_above(lines, call.lineno - 1))
        found.setdefault(name, Setting(name, _kind_read(call), default, meaning, _section_of(lines, call.lineno - 1)))
    return list(found.values())


def settings_part() -> str:
    """Return a table of settings for each section of the settings module."""
    read = read_settings((Path(settings.BASE_DIR) / "smplat" / "settings.py").read_text())
    sections = dict.fromkeys(setting.section for setting in read)
    return "\n\n".join(
        _settings_table(section, [own for own in read if own.section == section]) for section in sections
    )


def commands_part() -> str:
    """Return a section for each command of our own apps, by name."""
    own = {name: app for name, app in get_commands().items() if app in OWN_APPS}
    return "\n\n".join(_command_section(name, load_command_class(str(own[name]), name)) for name in sorted(own))


def endpoints_part() -> str:
    """Return a table of addresses for each group of the OpenAPI description."""
    paths: dict[str, dict[str, Any]] = SchemaGenerator().get_schema(request=None, public=True)["paths"]  # type: ignore[no-untyped-call]  # spectacular has no types here
    rows: dict[str, list[tuple[str, ...]]] = {}
    for path, operations in paths.items():
        for method in (method for method in METHODS if method in operations):
            operation = operations[method]
            status = min(operation["responses"])
            call = f"`{method.upper()} {path}`"
            scopes = _scopes(path, method) or ", ".join(operation.get("x-scopes", ()))
            row = (call, operation.get("summary", ""), scopes, status)
            rows.setdefault(operation["tags"][0], []).append(row)
    heads = ("Call", "What it does", "A key with one of", "Success")
    return "\n\n".join(f"### {group.capitalize()}\n\n{_table(heads, own)}" for group, own in rows.items())


def tables_part() -> str:
    """Return a section for each table of our own apps."""
    models = [model for app in OWN_APPS for model in apps.get_app_config(app).get_models()]
    return "\n\n".join(_table_section(model) for model in models)


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings_part,
    "commands": commands_part,
    "endpoints": endpoints_part,
    "tables": tables_part,
}


def _reads_a_name(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "env"
        and node.func.attr in KINDS
    )


def _kind_read(call: ast.Call) -> str:
    kind = KINDS[getattr(call.func, "attr", "")]
    return f"{kind} {', '.join(ast.literal_eval(call.args[1]))}" if kind == "one of" else kind


def _as_text(default: ast.expr) -> str:
    """Return a default as the environment would hold it; one that depends on other settings names them."""
    try:
        value = ast.literal_eval(default)
    except ValueError:
        return re.sub(r"str\(BASE_DIR / (.+?)\)|f(?=')", r"\1", ast.unparse(default)).replace("'", "")
    return str(value).lower() if isinstance(value, bool) else str(value or "")


def _comment_above(lines: list[str], index: int) -> list[str]:
    comment: list[str] = []
    while index and lines[index - 1].lstrip().startswith("# ") and not SECTION.match(lines[index - 1]):
        index -= 1
        comment.insert(0, lines[index].strip("# "))
    if not comment and "env." in lines[index - 1]:
        return _comment_above(lines, index - 1)
    return comment


def _section_of(lines: list[str], index: int) -> str:
    above = (SECTION.match(line) for line in reversed(lines[:index]))
    return next((match[1] for match in above if match), "Files")


def _settings_table(section: str, read: list[Setting]) -> str:
    rows = [(f"`{own.name}`", own.kind, _default_of(own), own.meaning) for own in read]
    return f"### {section}\n\n{_table(('Name', 'Kind', 'Default', 'Meaning'), rows)}"


def _default_of(setting: Setting) -> str:
    if setting.name in settings.REQUIRED:
        return "none: required"
    return f"`{setting.default}`" if setting.default else "empty"


def _command_section(name: str, command: BaseCommand) -> str:
    parser = command.create_parser("manage.py", name)
    standard = {action.dest for action in BaseCommand().create_parser("manage.py", name)._actions}  # noqa: SLF001 - argparse has no public list
    own = [action for action in parser._actions if action.dest not in standard]  # noqa: SLF001
    table = _table(("Argument", "Meaning"), [(_argument(action), _meaning(action)) for action in own])
    return f"### {name}\n\n{command.help}" + (f"\n\n{table}" if own else "")


def _argument(action: argparse.Action) -> str:
    takes = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    return f"`{' '.join([*action.option_strings[-1:], takes]).strip()}`"


def _meaning(action: argparse.Action) -> str:
    parts = [(action.help or "").rstrip(".")]
    if action.choices:
        parts.append(f"one of {', '.join(map(str, action.choices))}")
    if action.option_strings and action.default not in (None, False, "", []) and "default" not in parts[0]:
        parts.append(f"default {action.default}")
    return "; ".join(part for part in parts if part).replace("%%", "%")


def _scopes(path: str, method: str) -> str:
    try:
        view = resolve(VARIABLE.sub("any", path)).func
    except Resolver404:
        return ""
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None)
    return ", ".join(sorted(getattr(kind, "scopes", {}).get(method.upper(), ())))


def _table_section(model: type[Model]) -> str:
    facts = model._meta  # noqa: SLF001 - Django's documented way to a model's facts
    columns = [(f"`{field.column}`", _kind_of(field), str(field.help_text)) for field in facts.concrete_fields]
    rules = ", ".join(f"`{rule.name}`" for rule in facts.constraints)
    parts = [f"### {facts.db_table}", inspect.getdoc(model) or "", _table(("Column", "Kind", "Notes"), columns)]
    return "\n\n".join([*parts, *([f"Rules: {rules}."] if rules else [])])


def _kind_of(field: Field[Any, Any]) -> str:
    kind = field.db_type(connection) or ""
    return ", ".join([kind, *(["unique"] if field.unique else []), *(["null"] if field.null else [])])


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(heads)
    lines = [names, ["---"] * len(names), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
