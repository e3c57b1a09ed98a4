"""What `tiletwin run` says after the script: findings in full, refusals, a line per kernel; and the same as one HTML page."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment
from rich.console import Console
from rich.text import Text

from ..compat.session import Kernel, Session
from ..errors import TileTwinError
from .findings import STYLES, ordered, print_findings, render, show_path


def time_text(kernel: Kernel) -> str:
    """Modelled time of a launch, on average."""
    each = kernel.microseconds / kernel.launches
    return f'{each:.2f} us modelled' + (f', {kernel.launches} launches' if kernel.launches > 1 else '')


def place_text(kernel: Kernel) -> str:
    path, _, line = kernel.where.rpartition(':')
    return f'{show_path(path)}:{line}' if path else ''


def level_text(kernel: Kernel, sanitized: bool) -> str:
    return kernel.level if sanitized else 'not checked'


def refusal_text(error: TileTwinError) -> str:
    label = 'error' if error.word == 'error' else f'error[{error.word}]'
    return f'tiletwin: {label} {error}'


def print_session(console: Console, session: Session, sanitized: bool) -> None:
    print_findings(console, session.findings, limit=len(session.findings))
    if session.failure:
        console.print(session.failure.rstrip('\n'), soft_wrap=True)
    if session.refusal is not None:
        console.print(refusal_text(session.refusal), soft_wrap=True)
    for kernel in session.kernels.values():
        level = level_text(kernel, sanitized)
        line = Text('tiletwin: ', 'bold').append(f'{kernel.name}  ', 'not bold').append(level, STYLES.get(level, 'dim'))
        line.append(f'  {time_text(kernel)} on {kernel.chip} ({kernel.target})  {place_text(kernel)}', 'not bold')
        console.print(line, soft_wrap=True)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>tiletwin run {{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .25rem .8rem; text-align: left; border-bottom: 1px solid #ddd }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto }
.error { color: #b00020 } .review { color: #8a6d00 } .incomplete { color: #7b1fa2 } .clean { color: #1b7f3b }
</style></head><body>
<h1>{{ title }}</h1>
<p>Exit status {{ status }}. All times are modelled.</p>
<table><tr><th>kernel</th><th>verdict</th><th>time</th><th>chip</th><th>target</th><th>source</th></tr>
{% for k in kernels %}<tr><td>{{ k.name }}</td><td class="{{ k.level }}">{{ k.level }}</td><td>{{ k.time }}</td><td>{{ k.chip }}</td><td>{{ k.target }}</td>
<td>{{ k.place }}</td></tr>
{% endfor %}</table>
{% if findings %}<h2>Findings</h2>{% for f in findings %}<pre class="finding">{{ f }}</pre>{% endfor %}{% endif %}
{% if refusal %}<h2>Refused</h2><pre>{{ refusal }}</pre>{% endif %}
{% if failure %}<h2>Error of the script</h2><pre>{{ failure }}</pre>{% endif %}
</body></html>
"""


def page(session: Session, title: str, status: int, sanitized: bool) -> str:
    """The whole run as one HTML document without outside resources."""
    kernels: list[dict[str, Any]] = [{'name': k.name, 'level': level_text(k, sanitized), 'time': time_text(k), 'chip': k.chip, 'target': k.target,
                                      'place': place_text(k)} for k in session.kernels.values()]
    return Environment(autoescape=True).from_string(_PAGE).render(
        title=title, status=status, kernels=kernels, findings=[render(f).plain for f in ordered(session.findings)],
        refusal=refusal_text(session.refusal) if session.refusal is not None else '', failure=session.failure)
