"""Rules of the matrix products and of their vector prologue and epilogue."""

from dataclasses import replace

import pytest
import torch

import tiletwin
from ops.developer.matmul import mkkn_gemm
from ops.developer.matmul_epilogue import abs_add1
from ops.expert import matmul as expert
from ops.expert.matmul_epilogue import epilogue_abs_add1
from ops.expert.prologue_matmul import prologue_abs_sqrt_nd
from tiletwin.errors import TileTwinError
from tiletwin.harness.registry import operators
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import For, Instr, Scope, map_bodies, walk
from tiletwin.passes.substitute import map_own

from .kernel_checks import compiled, instructions, run_program, without_any

CROSS = ('set_cross_flag', 'wait_cross_flag')


def changed(program, fn):
    """The Program with every statement put through `fn`."""
    def body(statements):
        return tuple(fn(map_bodies(s, body)) for s in statements)
    return replace(program, body=body(program.body))


def half(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).half()


def test_C0_37_two_accumulators_of_128_by_128_fill_L0C():
    program = compiled(expert.qk_batched, 1, 1, 128, 256, cores=1, chip='a2').program
    assert program.buffers['qk_l0'].bytes == 2 * 128 * 128 * 4 == 128 * 1024
    with pytest.raises(TileTwinError, match='L0C'):
        compiled(expert.mknk_mma, 256, 256, 64, 'float16', 128, 256, 64, 1, chip='a2')
    compiled(expert.mknk_mma, 256, 256, 64, 'float16', 128, 256, 64, 1, chip='a5')


def test_C0_10_one_counter_serves_both_operands():
    program = compiled(expert.mknk_f32, 128, 128, 128, cores=1, chip='a5').program
    slots = {}
    for s in instructions(program, 'copy'):
        for r in s.args[:2]:
            if r.buffer in ('x_l1', 'y_l1', 'x_l0', 'y_l0'):
                slots.setdefault(r.buffer, set()).add(E.text(r.starts[0]))
    assert len(slots) == 4 and len({frozenset(v) for v in slots.values()}) == 1


FACTORIES = [
    ('mkkn', expert.mkkn_mma, (64, 64, 128), 'a3', (half(64, 128), half(128, 64, seed=1))),
    ('mkkn-barrier', expert.mkkn_barrier, (64, 64, 128), 'a3', (half(64, 128), half(128, 64, seed=1))),
    ('mkkn-developer', mkkn_gemm, (64, 64, 128), 'a3', (half(64, 128), half(128, 64, seed=1))),
    ('epilogue', epilogue_abs_add1, (64, 64, 128, 64, 64), 'a5', (half(64, 128), half(64, 128, seed=1))),
    ('epilogue-developer', abs_add1, (64, 64, 128), 'a5', (half(64, 128), half(64, 128, seed=1))),
]


@pytest.mark.parametrize('name, factory, args, chip, inputs', FACTORIES, ids=[f[0] for f in FACTORIES])
def test_C0_11_a_product_that_never_starts_afresh_adds_to_what_L0C_held(name, factory, args, chip, inputs):
    program = compiled(factory, *args, chip=chip).program
    found = run_program(program, chip, inputs, 1)[1]
    assert found.clean

    def never(s):
        return replace(s, args=(*s.args[:3], E.Const(False, 'bool'))) if isinstance(s, Instr) and s.op in ('mma', 'gemm_v0') else s

    assert 'uninit' in {f.word for f in run_program(changed(program, never), chip, inputs, 1)[1].findings}


def test_C0_12_each_vector_core_writes_its_half_of_the_rows():
    program = compiled(epilogue_abs_add1, 64, 64, 64, 64, 64, chip='a5').program
    x, y = half(64, 64), half(64, 64, seed=1)
    right = ((x.double() @ y.double().T).abs() + 1).float()
    (z,), verdict = run_program(program, 'a5', (x, y), 1)
    assert verdict.clean and torch.allclose(z, right, 1e-4, 1e-4)

    def first_half(s):
        return map_own(s, lambda e: E.substitute(e, {'vid': E.Const(0)})) if isinstance(s, Instr) and s.op == 'copy' else s

    (z,), _ = run_program(changed(program, first_half), 'a5', (x, y), 1)
    assert not torch.allclose(z[32:], right[32:], 1e-4, 1e-4)


@pytest.mark.parametrize('factory, args', [(epilogue_abs_add1, (64, 64, 64, 64, 64)), (prologue_abs_sqrt_nd, (64, 64, 64, 64, 64, 64))],
                         ids=['L0C-UB', 'UB-L1'])
def test_C0_14_a2_has_no_bridge_between_the_cores_on_chip(factory, args):
    kernel = factory(*args)
    with pytest.raises(TileTwinError, match='UB'):
        tiletwin.compile(kernel.prim_func, out_idx=[2], platform='A2', pass_configs=kernel.pass_configs)


CROSSING = [op for op in operators().values() if 'developer' in op.modes and op.variant.war_cover in ('single_shot', 'reverse_edge')]


@pytest.mark.parametrize('op', CROSSING, ids=lambda o: o.name)
def test_C4_43_the_declared_cover_is_in_the_program(op):
    """single_shot: no loop sends twice; reverse_edge: both kinds of core send, so that each waits for the other."""
    case = next(c for c in op.cases_in('developer') if c.purpose == 'reuse')
    for launch in op.run_case(case, 'developer', op.chips[0]).launches:
        cores = {s.core: s for s in walk(launch.program.body) if isinstance(s, Scope)}
        senders = {core for core, s in cores.items() if any(isinstance(x, Instr) and x.op == 'set_cross_flag' for x in walk(s.body))}
        looped = [x for s in walk(launch.program.body) if isinstance(s, For) for x in walk(s.body) if isinstance(x, Instr) and x.op in CROSS]
        if op.variant.war_cover == 'single_shot':
            assert senders and not looped
        elif senders:
            assert senders == {'C', 'V'}


@pytest.mark.parametrize('profile, want', [('fork', {'race'}), ('sound', set())])
def test_C4_43_a_second_tile_per_block_would_race_under_the_compiler(profile, want, monkeypatch):
    """X12: the compiler says when a workspace is full, not when it is free again."""
    from pass_configs import DEVELOPER
    from tiletwin import language as T

    @tiletwin.jit(out_idx=[2], platform='A5', pass_configs=DEVELOPER)
    def two_tiles():
        @T.prim_func
        def main(X: T.Tensor((128, 64), 'float16'), Y: T.Tensor((64, 64), 'float16'), Z: T.Tensor((128, 64), 'float')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                x = T.alloc_shared((64, 64), 'float16')
                y = T.alloc_shared((64, 64), 'float16')
                c = T.alloc_fragment((64, 64), 'float')
                z = T.alloc_shared((64, 64), 'float')
                T.copy(Y[0, 0], y)
                for t in T.serial(2):
                    T.copy(X[t * 64, 0], x)
                    T.gemm_v0(x, y, c, transpose_B=True, init=True)
                    T.copy(c, z)
                    T.tile.abs(z, z)
                    T.tile.add(z, z, 1.0)
                    T.copy(z, Z[t * 64, 0])
        return main

    monkeypatch.setenv('TILETWIN_PROFILE', profile)
    kernel = two_tiles()
    kernel(half(128, 64), half(64, 64, seed=1))
    assert {f.word for f in kernel.last.verdict.findings} == want


@pytest.mark.parametrize('name, case_name', [('matmul_epilogue.abs_add1', 'reuse'), ('prologue_matmul.abs_sqrt_nd', 'many-items')])
@pytest.mark.parametrize('core', ['C', 'V'])
def test_C0_13_either_side_of_a_handoff_waits_for_the_other(name, case_name, core):
    """One side waits until the tile is there, the other until it is free again: without the wait of one of them both use it at once."""
    op = operators()[name]
    case = next(c for c in op.cases if c.name == case_name)
    program = op.run_case(case, 'expert', 'a5').launches[0].program

    def deaf(s):
        return replace(s, body=without_any(program.with_body(s.body), 'wait_cross_flag').body) if isinstance(s, Scope) and s.core == core else s

    _, verdict = run_program(program.with_body(tuple(map(deaf, program.body))), 'a5', op.variant.make_inputs(case), len(op.variant.outputs(case.sizes, {}, ())))
    assert 'race' in {f.word for f in verdict.findings}


def test_C4_2_flags_beat_barriers():
    """The schedule with flags is what expert mode is for. On as many cores as there are tiles, since the one with barriers has a block per tile."""
    op = operators()['matmul.mkkn_gemm']
    case = next(c for c in op.cases if c.name == 'steady')
    a, b = op.variant.make_inputs(case)
    launch = {schedule: op.launch((a, b), {'schedule': schedule, 'cores': 8}, 'expert', 'a3')[1][0] for schedule in ('mma', 'barrier')}
    assert launch['mma'].blocks == launch['barrier'].blocks == 8
    assert launch['mma'].cycles < 0.7 * launch['barrier'].cycles
