"""Pages for people: one file each, without outside resources, for the screen and for paper."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent


@functools.cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def asset(name: str) -> str:
    return (_HERE / name).read_text(encoding='utf-8')


def render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(style=asset('style.css'), **values)
