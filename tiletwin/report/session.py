"""What `tiletwin run` says after the script: findings in full, refusals, a line per kernel; and the same as one HTML page."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from ..compat.session import Kernel, Session
from ..errors import TileTwinError
from . import html
from .findings import STYLES, ordered, print_findings, show_path
from .html.findings import markup


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


def page(session: Session, title: str, status: int, sanitized: bool) -> str:
    """The whole run as one HTML document without outside resources."""
    kernels: list[dict[str, Any]] = [{'name': k.name, 'level': level_text(k, sanitized), 'time': time_text(k), 'chip': k.chip, 'target': k.target,
                                      'place': place_text(k)} for k in session.kernels.values()]
    return html.render('run.html', title=title, status=status, kernels=kernels, findings=[markup(f) for f in ordered(session.findings)],
                       refusal=refusal_text(session.refusal) if session.refusal is not None else '', failure=session.failure)
