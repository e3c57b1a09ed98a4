"""The compiler oracle: every kernel builds to a valid Program, or is refused where the real front end refuses it; what reaches the
first pass is what the real front end hands on."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from tiletwin.errors import TileTwinError
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import For, If, Instr, Let, Region, Scope, Store, While
from tiletwin.ir.verify import verify

ORACLE = Path(__file__).resolve().parents[2].parent / 'shared' / 'oracle'
KERNELS = sorted(p.stem for p in (ORACLE / 'kernels').glob('*.py'))
EVOLUTION = sorted(p.stem for p in (ORACLE / 'evolution').glob('*.json'))
pytestmark = pytest.mark.skipif(not KERNELS, reason='the compiler oracle is not beside this repository')


def load(path):
    spec = importlib.util.spec_from_file_location(f'oracle_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def built(name, tmp_path, monkeypatch):
    import tiletwin.language as T

    monkeypatch.setenv('TILETWIN_CACHE_DIR', str(tmp_path))
    return load(ORACLE / 'kernels' / f'{name}.py').build(T).program


@pytest.mark.parametrize('name', KERNELS)
def test_kernel_builds_or_is_refused_by_the_front_end(name, tmp_path, monkeypatch):
    expected = json.loads((ORACLE / 'expect' / f'{name}.json').read_text())
    if expected['status'] == 'rejected' and expected['stage'] == 'frontend':
        kind = {'ValueError': ValueError, 'AssertionError': AssertionError}[expected['message'].split(':')[0]]
        with pytest.raises(TileTwinError) as caught:
            built(name, tmp_path, monkeypatch)
        assert isinstance(caught.value, kind)
        return
    program = verify(built(name, tmp_path, monkeypatch))
    if expected['status'] == 'lowered':
        declared = [p for p in expected['params'] if not p.get('auto_workspace')]
        assert [(p if isinstance(p, str) else p.name) for p in program.params] == [p['name'] for p in declared]
        assert program.launch.form == {'cv_1_1': 'threads1', 'cv_1_2': 'threads2', None: 'cid_vid'}[expected['cv_ratio']]


# ---- the normal form before any pass -----------------------------------------------------------------------------------

SPACE = {'SHARED': 'DYN', 'FRAGMENT': 'FRAG'}
TYPE = {'float16': 'half', 'float32': 'float'}


def normal(program, body, core):
    """The statements of one core in the oracle's spelling."""
    out = []
    for i, s in enumerate(body):
        match s:
            case Let():
                out.append({'let': s.var.name, 'value': E.text(s.value), 'body': normal(program, body[i + 1:], core)})
                return out
            case For():
                node = {'for': s.var.name, 'extent': E.text(s.extent), 'body': normal(program, s.body, core)}
                out.append(node | ({'kind': s.kind} if s.kind != 'serial' else {}) | ({'min': E.text(s.start)} if E.int_value(s.start) != 0 else {}))
            case If():
                out.append({'if': E.text(s.cond), 'then': normal(program, s.then, core), 'else': normal(program, s.els, core)})
            case Store():
                out.append(f'store {place(program, s.buffer)}[{", ".join(map(E.text, s.indices))}] = {E.text(s.value)}')
            case Instr():
                out.append(line(program, s))
            case Scope():
                out += normal(program, s.body, core) if core == s.core else []
            case While():
                raise AssertionError('no kernel of the evolution folder has one')
    return out


def place(program, name):
    space = program.buffers[name].space
    return f'{SPACE.get(space, space)} {name}'


def rectangle(program, r):
    return f'{place(program, r.buffer)}[{", ".join(f"{E.text(s)}:+{E.text(e)}" for s, e in zip(r.starts, r.extents))}]'


def run(program, r):
    b = program.buffers[r.buffer]
    return f'{place(program, r.buffer)}[{E.text(E.flat_offset(b.shape, r.starts))}:+{E.text(E.product(r.extents))}]'


def element(program, r):
    b = program.buffers[r.buffer]
    return f'{place(program, r.buffer)}[0:+{b.elements}], {E.text(r.starts[0])}'


def line(program, s):
    if s.op == 'copy':
        return f'copy {rectangle(program, s.args[0])} -> {rectangle(program, s.args[1])}'
    dtype = TYPE.get(program.buffers[s.args[0].buffer].dtype, '?')
    if s.op == 'gemm_v0':
        acc = TYPE[program.buffers[s.args[2].buffer].dtype]
        at = s.attrs
        return (f'cube gemm_v0 {", ".join(run(program, r) for r in s.args[:3])} {{in={dtype}, acc={acc}, M={at["M"]}, N={at["N"]}, K={at["K"]}, '
                f'transA={str(at["transpose_A"]).lower()}, transB={str(at["transpose_B"]).lower()}, init={E.text(s.args[3])}}}')
    if s.op == 'reduce':
        at = s.attrs
        operands = f'{run(program, s.args[0])}, {run(program, s.args[1])}'
        return f'vec reduce_{at["kind"]} {operands} {{dtype={dtype}, M={at["M"]}, N={at["N"]}, dim={at["dim"]}, clear={at["clear"]}}}'
    operands = [element(program, a) if isinstance(a, Region) and a.form == 'element' else run(program, a) if isinstance(a, Region) else E.text(a)
                for a in s.args]
    count = E.text(E.product(s.args[0].extents))
    tmpl = f" {{tmpl='Fill<{dtype}>'}}" if s.op == 'fill' else ''
    return f'vec {s.op} {", ".join([*operands, count])}{tmpl}'


@pytest.mark.parametrize('name', EVOLUTION)
def test_program_equals_what_the_real_front_end_hands_to_the_passes(name, tmp_path, monkeypatch):
    check = load(ORACLE / 'check.py')
    program = built(name, tmp_path, monkeypatch)
    first = json.loads((ORACLE / 'evolution' / f'{name}.json').read_text())['passes'][0]

    def keys(nodes):
        return [(key, text) for _, key, text in check.flat(nodes)]

    for core, expected in first['program'].items():
        ours, theirs = keys(normal(program, program.body, {'AIC': 'C', 'AIV': 'V'}.get(core))), keys(expected)
        assert [k for k, _ in ours] == [k for k, _ in theirs], [(a, b) for (ka, a), (kb, b) in zip(ours, theirs) if ka != kb][:3]
    assert [(b.name, SPACE.get(b.space, b.space), b.dtype, list(b.dims)) for b in program.on_chip('UB', 'L1', 'L0A', 'L0B', 'L0C', 'SHARED',
                                                                                                  'FRAGMENT')] == \
        [(a['name'], a['scope'], a['dtype'], a['elements']) for a in first['allocations']]
