"""`lint --fork`: what mainline's builder takes and the fork does not, and that everything the fork has compiled is accepted."""

import importlib.util
import inspect
import json
import textwrap
from pathlib import Path

import pytest

from tiletwin.harness.lint import fork_signatures, fork_syntax, fork_values
from tiletwin.harness.lint.fork_names import NAMES, TILE
from tiletwin.harness.lint.run import fork_findings, lint_file
from tiletwin.harness.lint.source import kernels

ROOT = Path(__file__).resolve().parents[2]
ORACLE = ROOT.parent / 'shared' / 'oracle'

# One kernel text in two frames: mainline's, which is built by mainline itself, and the fork's, which is linted.
TEXT = '''
import {package}
{imports}


def factory(n=4):
    @T.prim_func
    def main(X: T.Tensor((64, 64), 'float16'), Y: T.Tensor((64, 64), 'float16'){parameter}):
        with {frame}:
            tile = T.alloc_shared((64, 64), 'float16')
            other = T.alloc_shared((64, 64), 'float16')
            acc = T.alloc_fragment((64, 64), 'float')
            row = T.alloc_fragment((64,), 'float')
{body}
            T.copy(tile, Y)

    return main
'''
MAINLINE = {'package': 'tilelang', 'imports': 'import tilelang.language as T', 'frame': 'T.Kernel(4, threads=128) as cid'}
FORK = {'package': 'tiletwin', 'imports': 'from tiletwin import language as T', 'frame': 'T.Kernel(4, is_npu=True) as (cid, vid)'}
ROWS = [
    # Python that runs here and is text there
    ('F.fstring', "label = f'{n}'"),
    ('F.comprehension', 'x = [i for i in range(4)]\nT.copy(X[x[1], 0], tile[0, :])'),
    ('F.comprehension', 'x = sum(i for i in (1, 2))'),
    ('F.comprehension', 'x = {i: i for i in range(2)}'),
    ('F.assert', 'assert n > 0'),
    ('F.break', 'for i in T.serial(4):\n    if i > 2:\n        break\n    T.copy(X, tile)'),
    ('F.break', 'for i in T.serial(4):\n    if i > 2:\n        continue\n    T.copy(X, tile)'),
    ('F.python', 'import math\nT.copy(X[int(math.sqrt(4)) * 0:64, :], tile)'),
    ('F.python', 'try:\n    T.copy(X, tile)\nfinally:\n    pass'),
    ('F.python', 'global Z\nT.copy(X, tile)'),
    ('F.python', 'match 3:\n    case 3:\n        T.copy(X, tile)'),
    ('F.python', 'if (k := n) > 3:\n    T.copy(X, tile)'),
    ('F.return', 'return'),
    # loops and frames
    ('F.loop', 'for i in (0, 1):\n    T.copy(X, tile)'),
    ('F.loop', 'for i, t in enumerate([1, 2]):\n    T.copy(X, tile)'),
    ('F.loop', 'for t in [tile, other]:\n    T.copy(X, t)'),
    ('F.loop', 'for i in zip(range(2), range(2)):\n    T.copy(X, tile)'),
    ('F.loop', 'for i in T.serial(0, 8, 2):\n    T.copy(X, tile)'),
    ('F.loop', 'for i in T.serial(0, 8, step=2):\n    T.copy(X, tile)'),
    ('F.loop', 'for i in range(0, 8, 2):\n    T.copy(X, tile)'),
    ('F.arguments', 'for i in T.unroll(0, 8, 2):\n    T.copy(X, tile)'),
    ('F.parallel', 'for i, j, k in T.Parallel(4, 4, 4):\n    acc[i, j] = acc[i, j] + k'),
    ('F.arguments', 'for k in T.Pipelined(4, num_stages=2, annotations=None):\n    T.copy(X, tile)'),
    # values that are none, regions
    ('F.result', 'x = T.copy(X, tile)'),
    ('F.alias', 'half = tile[0:32, :]\nT.copy(X[0:32, :], half)'),
    ('F.index', 'T.copy(X[-64:, :], tile)'),
    ('F.index', 'tile[-1, 0] = 1.0'),
    # names of mainline alone
    *(('F.names', call) for call in (
        'T.fill(tile, 0.0)', 'T.clear(tile)', 'T.gemm(tile, tile, acc)', "m = T.dynamic('m')", "u = T.alloc_local((4,), 'float16')",
        'T.atomic_add(Y[0, 0], tile[0, 0])', 'T.cumsum(tile, tile)', 'T.reduce_abssum(acc, row)', 'T.sync_threads()', 's = T.alloc_barrier(2)',
        'T.device_assert(n > 0)', 'x = T.any_of(tile)')),
    # argument forms
    ('F.arguments', 'T.copy(X, tile, coalesced_width=4)'),
    ('F.arguments', 'T.copy(X, tile, disable_tma=True)'),
    ('F.arguments', 'T.reduce_sum(acc, row, dim=1, clear=True, batch=1)'),
    ('F.arguments', 'T.use_swizzle(10)'),
    ('F.arguments', 'T.use_swizzle(panel_size=10, enable=True)'),
    ('F.arguments', 'v = T.view(tile, strides=(64, 1))'),
    # values
    ('F.dtype', "u = T.alloc_shared((64, 64), 'float8_e4m3fn')"),
    ('F.dtype', "u = T.alloc_shared((64, 64), 'float64')"),
    ('F.buffers', "u = T.alloc_shared((64, 64), 'float16')\nT.copy(X, u)\nu = T.alloc_shared((64, 64), 'float16')\nT.copy(X, u)"),
]
FRAMES = [('F.kernel', 'T.Kernel(4, threads=128) as cid'), ('F.kernel', 'T.Kernel(4, 4, threads=128) as (bx, by)')]
FORK_TEXT = '''
import tiletwin
from tiletwin import language as T


@tiletwin.jit(out_idx=[1], pass_configs={configs})
def factory(n=4):
    @T.prim_func
    def main(X: T.Tensor((64, 64), 'float16'), Y: T.Tensor((64, 64), 'float16')):
        with T.Kernel({frame}) as (cid, vid):
            u = T.alloc_ub((64, 64), 'float16')
            mask = T.alloc_ub((64, 8), 'uint8')
{body}

    return main
'''
# Names and forms that only the dialect has: mainline has no word for them.
VALUES = [
    ('F.mode', "T.tile.compare(mask, u, u, 'EQUAL')"), ('F.mode', "T.tile.cast(u, u, 'ROUND', 64)"),
    ('F.mode', "T.tile.select(u, mask, u, u, 'TENSOR')"), ('F.scalar', "T.tile.compare(mask, u, 0, 'GT')"),
    ('F.scalar', "T.tile.select(u, mask, u, -1, 'VSEL_TENSOR_SCALAR_MODE')"), ('F.scalar', 'T.tile.bitwise_and(u, u, 3)'),
    ('F.pipe', "T.set_flag('mte2', 'vector', 0)"), ('F.pipe', "T.pipe_barrier('vec')"), ('F.pipe', "T.set_cross_flag('ALL', 0)"),
    ('F.reduce', 'T.reduce_sum(u, u, -1, True, [4, 4], 1)'), ('F.reduce', 'T.reduce_sum(u, u, clear=1)'), ('F.reduce', 'T.reduce_max(u, u, dim=(0, 1))'),
    ('F.variable', "x = T.alloc_var('int32', 0, 'local.var', 1)"), ('F.variable', "x = T.alloc_var('int32', value=1)"),
    ('F.arguments', 'T.gemm_v0(u, u, u, clear_accum=True)'), ('F.arguments', 'T.tile.add(u, u)'), ('F.arguments', "T.set_flag('mte2', 'v')"),
    ('F.arguments', "T.wait_flag('mte2', 'v', 0, 1)"), ('F.arguments', 'T.barrier_all(0)'), ('F.arguments', "T.tile.cast(u, u, 'CAST_NONE')"),
    ('F.arguments', "T.alloc_ub((4,), 'float16', 'shared')"), ('F.arguments', 'T.tile.broadcast(u, u, dim=0)'),
    ('F.arguments', 'T.mma(u, u, u, transpose_B=True)'), ('F.arguments', 'T.reduce_sum(u)'), ('F.arguments', "T.copy(X, u, pad=0)"),
    ('F.arguments', 'x = T.if_then_else(n > 3, 1)'), ('F.combine', 'T.sync_all()'),
    ('F.buffers', "u = T.alloc_ub((64, 64), 'float16')"), ('F.kernel', None),
]


def written(folder, text, **parts):
    path = folder / 'kernel.py'
    path.write_text(text.format(**{'parameter': '', **parts, 'body': textwrap.indent(parts.get('body') or 'T.copy(X, tile)', ' ' * 12)}))
    return path


def built(path):
    spec = importlib.util.spec_from_file_location(f'built_{path.parent.name}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.factory()


def fork_rules(path):
    return {f.rule for f in lint_file(str(path), fork=True) if f.rule.startswith('F')}


@pytest.mark.parametrize('rule, body', ROWS, ids=[f'{r[2:]}-{i}' for i, (r, _) in enumerate(ROWS)])
def test_mainline_builds_it_and_the_fork_would_not(tmp_path, rule, body):
    """dialect 11.3, 12.1, 12.3, 12.8"""
    assert type(built(written(tmp_path, TEXT, **MAINLINE, body=body))).__name__ == 'PrimFunc'
    path = written(tmp_path, TEXT, **FORK, body=body)
    found = list(fork_findings(str(path), kernels(path)))
    assert {f.rule for f in found} == {rule}
    first = TEXT.split('{body}')[0].count('\n') + 1
    assert all(f.why and f.instead and first <= f.line <= first + body.count('\n') for f in found)


@pytest.mark.parametrize('rule, frame', FRAMES)
def test_mainline_frames_are_refused(tmp_path, rule, frame):
    path = written(tmp_path, TEXT, **{**MAINLINE, 'frame': frame})
    assert type(built(path)).__name__ == 'PrimFunc' and fork_rules(path) == {rule}


@pytest.mark.parametrize('rule, body', VALUES, ids=[f'{r[2:]}-{i}' for i, (r, _) in enumerate(VALUES)])
def test_forms_of_the_dialect_itself_the_fork_refuses(tmp_path, rule, body):
    configs = "{'tl.ascend_auto_cv_combine': True}" if rule == 'F.combine' else 'None'
    path = written(tmp_path, FORK_TEXT, configs=configs, frame='4, is_npu=True, threads=4' if body is None else '4, is_npu=True', body=body or 'T.copy(X, u)')
    assert fork_rules(path) == {rule}


def test_the_kernel_around_the_rows_breaks_no_rule(tmp_path):
    assert fork_rules(written(tmp_path, TEXT, **FORK, body='T.copy(X, tile)')) == set()
    assert fork_rules(written(tmp_path, FORK_TEXT, configs='None', frame='4, is_npu=True', body="T.copy(X, u)\nT.sync_all()")) == set()


def test_every_rule_is_in_a_table():
    shown = {r for r, _ in (*ROWS, *FRAMES, *VALUES)}
    assert shown == {*fork_syntax.RULES, *fork_values.RULES, 'F.arguments', 'F.names'} - {'F.with'}  # F.with: test_lint
    assert len(ROWS) >= 25


def test_a_macro_that_allocates_is_expanded_once(tmp_path):
    """dialect 3.1"""
    macro = "@T.macro\ndef load(X):\n    u = T.alloc_ub((64, 64), 'float16')\n    T.copy(X, u)\n\n\n"
    text = FORK_TEXT.replace('@tiletwin', macro + '@tiletwin').replace("            u = T.alloc_ub((64, 64), 'float16')\n", '')
    for times, rules in ((1, set()), (2, {'F.buffers'})):
        path = written(tmp_path, text, configs='None', frame='4, is_npu=True', body='load(X)\n' * times)
        assert fork_rules(path) == rules


def oracle_kernels():
    if not ORACLE.is_dir():
        return []
    refused = {p.stem for p in (ORACLE / 'expect').rglob('*.json') if '"stage": "frontend"' in p.read_text()}
    return [p for p in sorted((ORACLE / 'kernels').rglob('*.py')) if p.stem not in refused and kernels(p)]


@pytest.mark.parametrize('path', oracle_kernels() or [None], ids=lambda p: p.stem if p else 'none')
def test_what_the_fork_has_compiled_is_accepted(path):
    """The oracle's kernels went through the fork's own front end."""
    if path is None:
        pytest.skip('the kernels of the real compiler are not beside this repository')
    assert not [f for f in fork_findings(str(path), kernels(path)) if f.rule != 'F.combine']


def test_every_name_has_one_argument_form():
    without = {'alloc_var', 'macro', 'prim_func', 'tile', 'bfloat16', *(f'{k}{b}' for k in ('int', 'uint') for b in (8, 16, 32, 64)), 'float16', 'float32'}
    known = set(fork_signatures.signatures())
    assert {n for n in known if not n.startswith('tile.')} == NAMES - without
    assert {n[5:] for n in known if n.startswith('tile.')} == TILE


# The package's own front end checks these itself and so declares more than the fork does.
LOOSER = {'serial', 'vectorized', 'grid', 'tile.cast', 'If', 'ptr', 'Buffer', 'Tensor', 'infinity', 'shmem_get_nbi', 'shmem_put_nbi', 'shmem_ub_get_nbi',
          'shmem_ub_put_nbi', 'Cast', 'reinterpret', 'reduce_sum', 'reduce_max', 'reduce_min'}


def test_forms_are_those_of_the_language_the_simulator_reads():
    from tiletwin import language

    for name, form in fork_signatures.signatures().items():
        own = language
        for part in name.split('.'):
            own = getattr(own, part)
        mine = [p for p in inspect.signature(own).parameters.values() if p.name != 'span']
        theirs = list(form.parameters.values())
        if name in LOOSER:
            continue
        assert len(mine) == len(theirs), name
        for a, b in zip(mine, theirs):
            assert a.default == b.default or a.kind is b.kind is a.VAR_POSITIONAL, (name, a, b)
            if b.kind is b.POSITIONAL_OR_KEYWORD:
                assert a.name.rstrip('_') == b.name, (name, a, b)


def test_the_command_names_the_rule(tmp_path, capsys):
    from tiletwin.cli import main

    path = written(tmp_path, TEXT, **FORK, body='T.copy(X, tile, coalesced_width=4)')
    assert main(['lint', str(path), '--fork', '--json']) == 1
    (found,) = [f for f in json.loads(capsys.readouterr().out)['findings'] if f['rule'].startswith('F')]
    assert found['rule'] == 'F.arguments' and 'coalesced_width' in found['message']
