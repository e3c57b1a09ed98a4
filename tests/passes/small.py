"""Small kernels for pass tables: source lines in, statements of the normal form after some of the passes out."""

from __future__ import annotations

import importlib.util
import tempfile
import textwrap
from pathlib import Path

from tiletwin.ir.nodes import Program
from tiletwin.machine.chip import chip
from tiletwin.passes.context import PassContext
from tiletwin.passes.normal_form import statements

_TEXT = '''import tiletwin.language as T

@T.prim_func
def main({params}):
    with T.Kernel({blocks}, {form}is_npu=True) as {names}:
{body}
'''
_folder = tempfile.TemporaryDirectory(prefix='tiletwin-tests-')
_count = iter(range(10**6))


def build(body: str, params: str = 'A: T.Tensor((32, 64), "float32")', threads: int | None = 1, blocks: int | str = 1, head: str = '') -> Program:
    """The traced program of a kernel body."""
    form, names = ('', '(cid, vid)') if threads is None else (f'threads={threads}, ', 'cid')
    text = _TEXT.format(params=params, blocks=blocks, form=form, names=names, body=textwrap.indent(textwrap.dedent(body).strip('\n'), ' ' * 8))
    if head:
        text = text.replace('\n@T', f'\n{head}\n\n@T', 1)
    path = Path(_folder.name) / f'small_{next(_count)}.py'
    path.write_text(text, encoding='utf-8')
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main.program


def context(target: str = 'ascendc', profile: str = 'fork', configs=(), on: str = 'a3') -> PassContext:
    return PassContext(chip(on), target, frozenset(configs), profile)


def after(program: Program, *steps, ctx: PassContext | None = None) -> Program:
    for step in steps:
        program = step.run(program, ctx or context())
    return program


def texts(nodes, attrs: bool = False) -> list[str]:
    """Statements, nested ones indented; `attrs` keeps the attributes in braces."""
    out = []
    for n in nodes:
        if isinstance(n, str):
            out.append(n if attrs else n.split(' {')[0])
            continue
        if 'for' in n:
            out.append(f'for {n["for"]} < {n["extent"]}')
        elif 'if' in n:
            out.append(f'if {n["if"]}')
        elif 'while' in n:
            out.append(f'while {n["while"]}')
        else:
            out.append(f'let {n["let"]} = {n["value"]}')
        for k in ('body', 'then', 'else'):
            out += ['  ' + t for t in texts(n.get(k, ()), attrs)]
    return out


def lines(program: Program, attrs: bool = False) -> list[str]:
    """What both cores run."""
    return texts(statements(program)['BOTH'], attrs)
