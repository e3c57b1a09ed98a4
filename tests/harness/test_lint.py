"""One broken kernel per rule, and the kernels of this package, which break none."""

import json
import re
import textwrap
from pathlib import Path

import pytest

from tiletwin.cli import main
from tiletwin.errors import EnvironmentError_
from tiletwin.harness.lint import fork_names, fork_syntax, modes
from tiletwin.harness.lint.premise import PREDICATES
from tiletwin.harness.lint.run import lint, lint_file, lint_operator, ops_files
from tiletwin.harness.lint.source import kernels, reachable
from tiletwin.harness.registry import operators

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT.parent / 'shared' / 'spec' / 'dialect.md'
HEAD = 'import tiletwin\nfrom pass_configs import *\nfrom tiletwin import language as T\n\n\n'


def write(folder, body, params='X: T.Tensor((64, 64), "float16"), Y: T.Tensor((64, 64), "float16")', frame='T.Kernel(4, is_npu=True) as (cid, vid)',
          jit='out_idx=[1], pass_configs=EXPERT', before='pass', macro=''):
    text = f'''{HEAD}{macro}
@tiletwin.jit({jit})
def factory(n, block=64):
    {before}

    @T.prim_func
    def main({params}):
        with {frame}:
{textwrap.indent(textwrap.dedent(body).strip(), ' ' * 12)}

    return main
'''
    path = folder / 'kernel.py'
    path.write_text(text)
    return str(path)


def rules(file, fork=False):
    return {f.rule for f in lint_file(file, fork)}


EXPERT_BODY = '''
tile = T.alloc_ub((64, 64), 'float16')
with T.Scope('V'):
    T.copy(X, tile)
    T.barrier_all()
    T.copy(tile, Y)
'''
DEVELOPER_BODY = '''
tile = T.alloc_shared((64, 64), 'float16')
T.copy(X, tile)
T.tile.exp(tile, tile)
T.copy(tile, Y)
'''
MIXED_BODY = '''
a = T.alloc_shared((64, 64), 'float16')
c = T.alloc_fragment((64, 64), 'float')
u = T.alloc_shared((64, 64), 'float')
T.copy(X, a)
T.gemm_v0(a, a, c, init=True)
T.copy(c, u)
T.tile.exp(u, u)
T.copy(u, Y)
'''
DEVELOPER = {'jit': 'out_idx=[1], pass_configs=DEVELOPER', 'frame': 'T.Kernel(4, threads=2, is_npu=True) as cid'}


def test_kernels_that_break_no_rule(tmp_path):
    for i, options in enumerate(({'body': EXPERT_BODY}, {'body': DEVELOPER_BODY, **DEVELOPER}, {'body': MIXED_BODY, **DEVELOPER})):
        folder = tmp_path / str(i)
        folder.mkdir()
        assert rules(write(folder, **options), fork=True) == set()


GEMM = '''
a = T.alloc_L1((64, 64), 'float16')
c = T.alloc_L0C((64, 64), 'float')
with T.Scope('C'):
    T.copy(X, a)
    T.barrier_all()
    {gemm}
    T.barrier_all()
    T.copy(c, Y)
'''
WORKSPACES = 'X: T.Tensor((64, 64), "float16"), Y: T.Tensor((64, 64), "float16"), {name}: T.Tensor((64, 64), "float16")'
MODES = [
    # developer
    ('C4.1', {'body': DEVELOPER_BODY, 'jit': 'out_idx=[1], pass_configs={"tl.ascend_auto_sync": True, "tl.ascend_memory_planning": False}'},
     'developer'),
    ('C4.1', {'body': MIXED_BODY, **DEVELOPER, 'jit': 'out_idx=[1], pass_configs=VECTOR_ONLY'}, None),
    *(('C4.1', {'body': f"x = T.{alloc}((64, 64), 'float16')\n" + textwrap.dedent(DEVELOPER_BODY), **DEVELOPER}, None)
      for alloc in ('alloc_ub', 'alloc_L1', 'alloc_L0A', 'alloc_L0B', 'alloc_L0C')),
    *(('C4.1', {'body': f'{textwrap.dedent(DEVELOPER_BODY)}\nT.{sync}', **DEVELOPER}, None)
      for sync in ("set_flag('v', 'mte3', 0)", "wait_flag('v', 'mte3', 0)", "pipe_barrier('v')", 'barrier_all()', "set_cross_flag('FIX', 0)",
                   'wait_cross_flag(0)', 'sync_all()')),
    ('C4.4', {'body': f"{textwrap.dedent(DEVELOPER_BODY)}\nT.pipe_barrier('v')", **DEVELOPER, 'jit': 'out_idx=[1], pass_configs=MIXED'}, None),
    ('C4.20', {'body': "with T.Scope('V'):\n" + textwrap.indent(textwrap.dedent(DEVELOPER_BODY).strip(), '    '), **DEVELOPER}, None),
    ('C4.10', {'body': MIXED_BODY.replace('T.copy(X, a)', 'T.copy(X[vid, 0], a)'), 'jit': 'out_idx=[1], pass_configs=DEVELOPER'}, None),
    ('C4.10', {'body': MIXED_BODY, 'jit': 'out_idx=[1], pass_configs=DEVELOPER'}, None),
    ('C4.41', {'body': DEVELOPER_BODY + 'T.copy(tile, workspace_1)\n', **DEVELOPER, 'params': WORKSPACES.format(name='workspace_1'),
               'jit': 'out_idx=[1], workspace_idx=[2], pass_configs=DEVELOPER'}, None),
    # expert
    ('C4.2', {'body': EXPERT_BODY, 'jit': 'out_idx=[1], pass_configs=DEVELOPER'}, 'expert'),
    ('C4.2', {'body': EXPERT_BODY.replace('alloc_ub', 'alloc_shared')}, None),
    ('C4.2', {'body': EXPERT_BODY.replace('T.barrier_all()', 'T.tile.exp(tile, tile)')}, None),
    ('C4.23', {'body': EXPERT_BODY.replace("'V'", "'C'").replace('T.copy(X,', 'T.copy(X[vid, 0],')}, None),
    # both
    ('C4.25', {'body': GEMM.format(gemm='T.gemm_v0(a, a, c)')}, None),
    ('C4.25', {'body': GEMM.format(gemm='T.gemm_v0(a, a, c, init=False)')}, None),
    ('C0.26', {'body': EXPERT_BODY.replace('T.barrier_all()', "T.barrier_all()\n    T.tile.fill(tile, -T.infinity('float16'))")}, None),
    ('C0.26', {'body': EXPERT_BODY.replace('T.barrier_all()', "T.barrier_all()\n    T.tile.fill(tile, float('-inf'))")}, None),
    ('C4.40', {'body': EXPERT_BODY, 'params': WORKSPACES.format(name='ring'), 'jit': 'out_idx=[1], workspace_idx=[2]'}, None),
    ('C4.40', {'body': EXPERT_BODY, 'params': WORKSPACES.format(name='workspace_1')}, None),
    ('C4.40', {'body': EXPERT_BODY.replace('tile', 'workspace_ub')}, None),
    ('C4.31', {'body': DEVELOPER_BODY, **DEVELOPER, 'frame': 'T.Kernel(4, threads=4, is_npu=True) as cid'}, None),
]


@pytest.mark.parametrize('rule, options, meant', MODES, ids=[f'{r}-{i}' for i, (r, _, _) in enumerate(MODES)])
def test_a_kernel_that_breaks_a_rule_of_its_mode(tmp_path, rule, options, meant):
    file = write(tmp_path, **options)
    (kernel,) = kernels(file)
    found = list(modes.check(kernel, meant or kernel.mode))
    assert {f.rule for f in found} == {rule}
    assert all(f.message and f.why and f.instead and f.line > 1 for f in found)


@pytest.mark.parametrize('body, ok', [
    ('T.gemm_v0(a, a, c, init=True)', True), ('T.gemm_v0(a, a, c, init=(cid == 0))', True), ('T.gemm_v0(a, a, c, False, False, True)', True),
    ('T.gemm_v0(a, a, c, init=True)\n    T.gemm_v0(a, a, c, init=False)', True),
    ('T.gemm_v0(a, a, c, init=False)\n    T.gemm_v0(a, a, c, init=True)', False),
])
def test_accumulators_start_from_zero(tmp_path, body, ok):
    """C0.11, C4.25"""
    assert rules(write(tmp_path, GEMM.format(gemm=body))) == (set() if ok else {'C4.25'})


def test_a_pad_value_may_be_infinite(tmp_path):
    """C0.26 is about scores; a padded load of a softmax row asks for -inf (row softmax)."""
    assert rules(write(tmp_path, EXPERT_BODY.replace('T.copy(X, tile)', "T.copy(X, tile, pad_value=-T.infinity('float16'))"))) == set()


def test_self_contained_gemm_needs_no_flag_of_its_own(tmp_path):
    assert rules(write(tmp_path, GEMM.replace('    T.barrier_all()\n', '').format(gemm='T.gemm_v0(a, a, c, init=True)'))) == set()


# -- the eight predicates ------------------------------------------------------------------------------------------------
BROKEN = {
    'threads=2 and a single cid axis': {'frame': 'T.Kernel(4, is_npu=True) as (cid, other)'},
    'no workspace_idx': {'jit': 'out_idx=[1], workspace_idx=[2], pass_configs=DEVELOPER'},
    'no workspace parameter': {'params': WORKSPACES.format(name='workspace_1')},
    'no alloc_L1, alloc_L0 or alloc_ub': {'body': MIXED_BODY.replace("u = T.alloc_shared", "u = T.alloc_ub")},
    'no vid left': {'body': MIXED_BODY + 'T.copy(u, Y[vid, 0])\n'},
    'no workspace left': {'body': MIXED_BODY + 'T.copy(u, workspace)\n'},
    'tiles are whole blocks': {'before': 'v_block = block // 2',
                               'body': MIXED_BODY.replace('u = T.alloc_shared((64, 64)', 'u = T.alloc_shared((v_block, 64)')},
    'loops run over full ranges': {'body': MIXED_BODY + 'for i in range(n // 2):\n    T.copy(u, Y[i, 0])\n'},
}


@pytest.mark.parametrize('name', PREDICATES)
def test_each_predicate_of_the_self_check_sees_what_it_is_about(tmp_path, name):
    """C4.11"""
    (kernel,) = kernels(write(tmp_path, **({'body': MIXED_BODY, **DEVELOPER} | BROKEN[name])))
    assert [n for n, holds in PREDICATES.items() if not holds(kernel)] == [name]


def test_the_self_check_holds_for_every_vid_eliminated_kernel_and_fails_on_workspace_vid():
    """C4.11"""
    seen = set()
    for op in operators().values():
        for name in (n for n in ('vid_eliminated', 'workspace_vid') if op.name.endswith(n) and 'developer' in op.modes):
            file = next(f for f in ops_files() if f.endswith(f'developer/{op.variant.family}.py'))
            for kernel in reachable(file, op.variant.kernel):
                assert all(holds(kernel) for holds in PREDICATES.values()) == (name == 'vid_eliminated'), op.name
                seen.add(name)
    assert seen == {'vid_eliminated', 'workspace_vid'}


def test_tiles_of_the_other_cores_are_copied_directly_once_the_workspace_is_gone(tmp_path):
    """C4.12"""
    variant = operators()['sparse_flash_attn.vid_eliminated'].variant
    file = next(f for f in ops_files() if f.endswith('developer/sparse_flash_attn.py'))
    for name, right in (('vid_eliminated', True), ('workspace_vid', False)):
        (kernel,) = reachable(file, name)
        assert ('C4.12' not in {f.rule for f in modes.check(kernel, 'developer', variant)}) == right


@pytest.mark.parametrize('reason, cover, expected', [('', '', {'C4.11', 'C4.14'}), ('multi_version', 'reverse_edge', set())])
def test_a_workspace_in_a_developer_kernel_needs_a_reason(reason, cover, expected):
    """C4.14, C4.43"""
    from dataclasses import replace

    op = operators()['flash_attn.ws3']
    file = next(f for f in ops_files() if f.endswith('developer/flash_attn/ws3.py'))
    (kernel,) = reachable(file, 'ws3')
    assert {f.rule for f in modes.check(kernel, 'developer', replace(op.variant, fallback_reason=reason, war_cover=cover))} == expected


def test_rules_that_name_an_operator_hold_for_it_alone():
    """C0.5, C4.3"""
    from types import SimpleNamespace

    file = next(f for f in ops_files() if f.endswith('expert/matmul.py'))
    kernel = kernels(file)[0]
    as_ws3 = SimpleNamespace(name='flash_attn.ws3', family='flash_attn', fallback_reason='')
    assert {f.rule for f in modes.check(kernel, 'expert', as_ws3)} == {'C4.3'}


def test_programs_are_held_to_their_constants():
    """C0.10, C0.25, C0.40, C0.43, C0.44, C4.24, C4.43, C4.44, C4.45"""
    from types import SimpleNamespace

    from tiletwin.harness.lint import programs
    from tiletwin.ir.expr import Const, Var
    from tiletwin.ir.nodes import Buffer, Instr, Launch, Program, Region

    def whole(name, *shape):
        return Region(name, tuple(Const(0) for _ in shape), tuple(map(Const, shape)))

    def buffer(name, space, *shape, dtype='float32'):
        return Buffer(name, space, tuple(Const(n) if isinstance(n, int) else n for n in shape), dtype)

    def program(*body, buffers=(), form='cid_vid'):
        held = {b.name: b for b in buffers}
        frame = Launch(Var('cid', 'int32'), Var('vid', 'int32'), Const(1), form)
        return Program('k', tuple(b.name for b in buffers if b.space == 'GM'), held, frame, body)

    def found(p, mode='expert', source=None, family='flash_attn', cover=''):
        return {f.rule for f in programs.check(p, source or p, mode, ('a2',), SimpleNamespace(family=family, war_cover=cover))}

    for op, last in (('set_flag', 7), ('wait_flag', 7)):
        assert found(program(Instr(op, ('V', 'MTE3', Const(last))))) == set()
        assert found(program(Instr(op, ('V', 'MTE3', Const(last + 1))))) == {'C4.44'}
    assert found(program(Instr('set_cross_flag', ('FIX', Const(15))), Instr('wait_cross_flag', (Const(15), '')))) == set()
    assert found(program(Instr('set_cross_flag', ('FIX', Const(16))))) == {'C4.44'} == found(program(Instr('wait_cross_flag', (Const(16), ''))))

    half, column = buffer('h', 'UB', 8, 16, dtype='float16'), buffer('s', 'UB', 8, 1)
    total = Instr('reduce', (whole('s', 8, 1), whole('h', 8, 16)), {'kind': 'sum'})
    assert found(program(total, buffers=(half, column))) == {'C0.25'}
    assert found(program(total, buffers=(half, column)), family='softmax') == set()
    assert found(program(Instr('copy', (whole('s', 8, 1), whole('t', 8, 1))), buffers=(column, buffer('t', 'UB', 8, 1)))) == {'C0.44'}
    assert found(program(buffers=(buffer('workspace_1', 'GM', Var('n', 'int32'), 4),))) == {'C0.40'}
    assert found(program(buffers=(buffer('b', 'L0B', 64, 8, dtype='float16'),))) == {'C4.24'}
    assert found(program(buffers=(buffer('c', 'L0C', 16, 16),))) == set()
    auto = program(buffers=(buffer('workspace_1', 'GM', 4, 4),))
    assert found(auto, 'developer') == {'C4.43'} and found(auto, 'developer', cover='reverse_edge') == set()
    slots = [buffer(name, space, 2, 16, 16, dtype='float16') for name, space in (('x', 'L0A'), ('y', 'L0B'))] + [buffer('z', 'L0C', 16, 16)]
    for other, rule in ((Var('i', 'int32'), set()), (Var('j', 'int32'), {'C0.10'})):
        operands = [Region(n, (e, Const(0), Const(0)), (Const(1), Const(16), Const(16))) for n, e in (('x', Var('i', 'int32')), ('y', other))]
        assert found(program(Instr('mma', (*operands, whole('z', 16, 16), Const(True, 'bool'))), buffers=slots)) == rule
    for narrow, rule in ((8, set()), (1, {'C0.43'}), (16, {'C0.43'})):
        spread = [buffer('wide', 'UB', 8, 64), buffer('f', 'UB', 8, narrow)]
        scale = Instr('row_expand_mul_experiment', (whole('wide', 8, 64), whole('wide', 8, 64), whole('f', 8, narrow)))
        assert found(program(scale, buffers=spread)) == rule
    for rows, rule in ((7, {'C4.45'}), (8, set())):
        source = program(buffers=(buffer('u', 'SHARED', rows, 16),), form='threads2')
        assert found(program(buffers=(buffer('u', 'UB', 4, 16),), form='threads2'), 'developer', source) == rule


# -- the fork's parser ---------------------------------------------------------------------------------------------------
SYNTAX = [
    ('F.fstring', "T.printf(f'{n}')"), ('F.comprehension', 'x = [i for i in (1, 2)]'), ('F.comprehension', 'x = sum(i for i in (1, 2))'),
    ('F.assert', 'assert n > 0'), ('F.break', 'for i in T.serial(4):\n    break'), ('F.break', 'for i in T.serial(4):\n    continue'),
    ('F.python', 'import math'), ('F.python', 'global n'), ('F.python', 'def inner():\n    pass'), ('F.python', 'try:\n    pass\nfinally:\n    pass'),
    ('F.return', 'return'), ('F.loop', 'for i in (0, 1):\n    T.barrier_all()'), ('F.loop', 'for i, t in enumerate([1]):\n    T.barrier_all()'),
    ('F.loop', 'for i in T.serial(0, 8, 2):\n    T.barrier_all()'), ('F.loop', 'for i in range(0, 8, 2):\n    T.barrier_all()'),
    ('F.loop', 'for i in T.serial(0, 8, step=2):\n    T.barrier_all()'), ('F.with', "with open('x') as f:\n    T.barrier_all()"),
    ('F.result', 'x = T.copy(X, tile)'), ('F.result', 'x = T.tile.add(tile, tile, tile)'), ('F.result', 'x = T.reduce_sum(tile, tile)'),
    ('F.index', 'T.copy(X[0], tile)'), ('F.index', 'T.copy(X, tile[0, 0, 0])'), ('F.index', 'T.copy(X[0:64:2, 0], tile)'),
    ('F.index', 'T.copy(X[-1, 0], tile)'), ('F.index', 'T.copy(X[..., 0], tile)'), ('F.alias', 'row = X[0:8, :]'),
    ('F.names', 'T.gemm(tile, tile, tile)'), ('F.names', "x = T.dynamic('m')"), ('F.names', 'T.tile.softmax(tile, tile)'), ('F.names', 'T.print(n)'),
]
FINE = [
    'for i in T.serial(2, 4):\n    T.barrier_all()', 'for i in range(4):\n    T.barrier_all()',
    "for i in T.Pipelined(4, num_stages=2):\n    T.barrier_all()",
    'for i, j in T.Parallel(8, 8):\n    tile[i, j] = tile[i, j] + 1', 'x = X[0, 0]', 'row = X[0:8, 0:64]', 'x = T.max(n, 4)',
    "count = T.alloc_var('int32', init=0)",
    'T.copy(X[0, 0:32], tile[0, :])', 'if n > 3:\n    T.barrier_all()\nelse:\n    T.barrier_all()', 'while n > 3:\n    T.barrier_all()',
    'a, b = n, n', "x = T.cast(n, 'float32')", 'y = T.if_then_else(n > 3, 1, 2)', 'X[0, 0] = 1.0', 'twice(tile)', "names = ('a', 'b')", 'x = -n',
]


@pytest.mark.parametrize('rule, statement', SYNTAX, ids=[f'{r[2:]}-{i}' for i, (r, _) in enumerate(SYNTAX)])
def test_what_the_fork_refuses_though_python_takes_it(tmp_path, rule, statement):
    """dialect 12.1, 12.8"""
    file = write(tmp_path, textwrap.dedent(EXPERT_BODY) + statement)
    found = [f for f in lint_file(file, fork=True) if f.rule.startswith('F')]
    assert {f.rule for f in found} == {rule} and all(f.why for f in found)
    assert not {f.rule for f in lint_file(file)} & {rule}, 'asked for with --fork only'


@pytest.mark.parametrize('statement', FINE, ids=range(len(FINE)))
def test_what_the_fork_takes(tmp_path, statement):
    macro = '@T.macro\ndef twice(t):\n    T.tile.add(t, t, t)\n\n'
    file = write(tmp_path, textwrap.dedent(EXPERT_BODY) + statement, macro=macro)
    assert {f.rule for f in lint_file(file, fork=True) if f.rule.startswith('F')} == set()


def test_python_outside_the_kernel_is_left_alone(tmp_path):
    assert rules(write(tmp_path, EXPERT_BODY, before="sizes = [f'{i}' for i in range(3)]; assert sizes"), fork=True) == set()


def test_macros_are_kernel_text(tmp_path):
    macro = '@T.macro\ndef twice(t):\n    assert t\n\n\n@T.macro\ndef unused(t):\n    assert t\n\n'
    found = lint_file(write(tmp_path, textwrap.dedent(EXPERT_BODY) + 'twice(tile)', macro=macro), fork=True)
    assert [f.rule for f in found] == ['F.assert'] and 'twice' in Path(found[0].file).read_text().splitlines()[found[0].line - 2]


def test_every_syntax_rule_has_a_kernel_that_breaks_it():
    assert {r for r, _ in SYNTAX} == {*fork_syntax.RULES, 'F.names'}


def test_the_name_table_holds_every_name_of_the_dialect_and_none_it_refuses():
    from tiletwin import language
    from tiletwin.language import tile

    assert set(tile.__all__) <= fork_names.TILE
    assert set(language.__all__) - {'PrimFunc', 'program_of', 'reduce'} - set(DTYPES) <= fork_names.NAMES
    assert not fork_names.NAMES & set(fork_names.INSTEAD)


DTYPES = ('bool', 'float8_e4m3', 'float8_e4m3fn', 'float8_e5m2', 'float64', 'int4', 'uint1')


def test_the_name_table_holds_every_name_used_in_the_fork_s_examples():
    if not SPEC.is_file():
        pytest.skip(f'{SPEC.name} is not beside this repository')
    used = set(re.findall(r'^\| `T\.([\w.]+)` \|', SPEC.read_text(encoding='utf-8').split('## 12.11')[1], re.M))
    assert len(used) > 100
    missing = {n for n in used if not (n[5:] in fork_names.TILE if n.startswith('tile.') else n in fork_names.NAMES)}
    assert missing == set()


# -- everything in this package ------------------------------------------------------------------------------------------
@pytest.mark.parametrize('file', ops_files(), ids=lambda f: '/'.join(Path(f).parts[-3:]))
def test_kernel_files_break_no_rule(file):
    assert lint_file(file, fork=True) == []


@pytest.mark.parametrize('op', list(operators().values()), ids=lambda o: o.name)
def test_operators_break_no_rule_of_their_contract(op):
    assert lint_operator(op, fork=True) == []


@pytest.mark.parametrize('file', sorted(str(p) for p in (ROOT / 'examples').glob('[0-9]*.py')), ids=lambda f: Path(f).name)
def test_examples_break_no_rule(file):
    assert lint_file(file, fork=True) == []


def test_every_kernel_file_of_ops_is_found():
    assert {Path(f).name for f in ops_files()} >= {'matmul.py', 'softmax.py', 'ws3.py'}
    assert all(kernels(f) for f in ops_files() if 'T.prim_func' in Path(f).read_text(encoding='utf-8'))


# -- the command ---------------------------------------------------------------------------------------------------------
def test_exit_status_and_forms_of_the_report(tmp_path, capsys):
    bad = write(tmp_path, EXPERT_BODY.replace('alloc_ub', 'alloc_shared'))
    assert main(['lint', str(ROOT / 'examples/01_first_vector_kernel.py'), '--fork']) == 0
    assert capsys.readouterr().out == 'lint: clean\n'
    assert main(['lint', bad]) == 1
    out = capsys.readouterr().out
    assert out.startswith('tiletwin: lint[C4.2] T.alloc_shared in an expert kernel\n  --> ') and out.endswith('lint: 1 finding (1 of C4.2)\n')
    assert main(['lint', bad, '--json']) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document['status'], [f['rule'] for f in document['findings']]) == (1, ['C4.2'])
    assert main(['lint', 'no_such_operator']) == 2 and main(['lint', 'missing.py']) == 2


def test_a_file_that_is_no_python_is_refused_with_its_line(tmp_path, capsys):
    file = tmp_path / 'x.py'
    file.write_text('def f(:\n')
    assert main(['lint', str(file)]) == 1
    assert f'{file}:1' in capsys.readouterr().err


def test_names_are_checked_before_anything_is_read():
    with pytest.raises(EnvironmentError_, match='no file'):
        lint(['softmax', 'missing.py'])
