"""Rules C2 of flash_attn.a5_serial: on-chip bridges and three events."""

import numpy as np
import pytest
import torch

from ops.expert.flash_attn import flash_attn_a5_serial
from pass_configs import DEVELOPER, EXPERT
from tiletwin import compile as compile_kernel
from tiletwin.errors import TileTwinError
from tiletwin.harness.registry import operators
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Instr, walk
from tiletwin.sim.access import Geometry

from .kernel_checks import case_launch, compiled, instructions, run_program, scope, without

EVENTS = {('FIX', 0), ('MTE3', 1), ('FIX', 2)}
WAITS = {(0, 'V'), (1, 'MTE1'), (2, 'V')}
CROSS = ('set_cross_flag', 'wait_cross_flag')


@pytest.fixture(scope='module')
def reuse():
    return case_launch('flash_attn.a5_serial', 'reuse', 'a5')


def kernel(s=256, d=64, bm=64, bn=64, dtype='float16', cores=1):
    return compiled(flash_attn_a5_serial, 1, 1, s, d, 0.125, bm, bn, dtype, cores, chip='a5')


def tensors(s=256, d=64):
    return [torch.randn(1, 1, s, d, generator=torch.Generator().manual_seed(i)).half() for i in range(3)]


def cross(statement):
    """(kind, id, pipe) of the cross flags inside a statement, in order."""
    return [('set', E.int_value(s.args[1]), s.args[0]) if s.op == 'set_cross_flag' else ('wait', E.int_value(s.args[0]), s.args[1])
            for s in walk(statement.body) if isinstance(s, Instr) and s.op in CROSS]


@pytest.mark.parametrize('bm, bn, d', [(64, 64, 64), (128, 64, 64), (64, 128, 128), (32, 16, 16)])
def test_C2_1_halves_of_the_rows_lie_in_UB(bm, bn, d):
    buffers = kernel(128, d, bm, bn).program.buffers
    assert (buffers['qk_ub'].dims, buffers['qk_ub'].dtype) == ((bm // 2, bn), 'float32')
    assert (buffers['pv_ub'].dims, buffers['pv_ub'].dtype) == ((bm // 2, d), 'float32')
    assert buffers['p_l1'].dims == (bm, bn)


def test_C2_2_fixpipe_stores_stand_in_cube_code_and_read_L0C(reuse):
    def stores(core):
        return [s for s in walk(scope(reuse.program, core).body) if isinstance(s, Instr) and s.op == 'copy'
                and reuse.program.buffers[s.args[1].buffer].space == 'UB' and reuse.program.buffers[s.args[0].buffer].space != 'GM']

    assert [reuse.program.buffers[s.args[0].buffer].space for s in stores('C')] == ['L0C', 'L0C']
    assert not [s for s in stores('V') if reuse.program.buffers[s.args[0].buffer].space == 'L0C']


@pytest.mark.parametrize('event, region', [('QK_READY', 'qk_ub'), ('PV_READY', 'pv_ub'), ('P_READY', 'p_l1')])
def test_C2_3_without_its_event_a_tile_is_read_too_early(event, region):
    program = without(kernel().program, 'wait_cross_flag', event)
    _, verdict = run_program(program, 'a5', tensors(), 1)
    races = [f for f in verdict.findings if f.word == 'race' and any(region in side.region for side in f.sides)]
    assert races, [f.message for f in verdict.findings]


def test_C2_5_three_events_cover_every_reuse_and_P_READY_is_one_of_them():
    """FIX takes its stores in order, so no tile needs a flag for the way back."""
    program = kernel().program
    assert run_program(program, 'a5', tensors(), 1)[1].clean
    _, verdict = run_program(without(program, 'wait_cross_flag', 'P_READY'), 'a5', tensors(), 1)
    assert any(f.word == 'race' and 'qk_ub' in f.sides[0].region for f in verdict.findings)


def test_C2_6_event_ids_are_distinct_and_exist():
    ids = [ident for _, ident in EVENTS]
    assert len(set(ids)) == 3 and set(ids) <= set(range(16))


@pytest.mark.parametrize('case', ['idle', 'uneven', 'one-step-items'])
def test_C2_7_counters_are_zero_at_exit_also_without_a_tile(case):
    assert case_launch('flash_attn.a5_serial', case, 'a5').verdict.clean


def test_C2_7_a_missing_set_is_a_deadlock_and_a_spare_one_is_left_over():
    for event in ('QK_READY', 'P_READY', 'PV_READY'):
        _, verdict = run_program(without(kernel().program, 'set_cross_flag', event), 'a5', tensors(), 1)
        assert {f.word for f in verdict.findings} & {'deadlock'}


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('bm, bn', [(64, 64), (128, 64), (64, 128), (32, 16), (96, 48)])
@pytest.mark.parametrize('sub', [0, 1])
def test_C2_8_each_vector_core_writes_its_rows_of_every_column_of_fractals(bm, bn, dtype, sub):
    """L1[n // 16, m // 16, m % 16, n % 16] == P[m, n], by the bytes the publishing copy touches."""
    program = kernel(384 if bm == 96 else 256, 64, bm, bn, dtype).program
    publish = next(s for s in instructions(program, 'copy') if s.args[1].buffer == 'p_l1')
    geometry = Geometry(program, {})
    half = bm // 2
    rect = geometry.rect(publish.args[1], {e: sub * half for e in publish.args[1].starts if not isinstance(e, E.Const)})
    span = geometry.l1_tile(rect, half, bn)
    touched = {b for r in range(span.rows) for b in range(span.start + r * span.pitch, span.start + r * span.pitch + span.row_bytes)}

    mine, l1 = nz_halves(bm, bn)
    base = program.buffers['p_l1'].address
    assert touched == {base + 2 * int(e) + b for e in np.flatnonzero(np.isin(l1, mine[sub])) for b in (0, 1)}


def nz_halves(bm, bn):
    """(element numbers of each half, L1 as the source fills it): reshape, permute and reshape of a half into a sub-view of L1."""
    half, tile = bm // 2, np.arange(bm * bn).reshape(bm, bn)
    l1 = np.full((bn // 16, bm // 16, 16, 16), -1)
    for sub in range(2):
        rows = tile[sub * half:(sub + 1) * half]
        l1[:, sub * half // 16:(sub + 1) * half // 16] = rows.reshape(half, bn // 16, 16).transpose(1, 0, 2).reshape(bn // 16, bm // 32, 16, 16)
    return tile.reshape(2, -1), l1


@pytest.mark.parametrize('bm, bn', [(32, 16), (64, 64), (96, 48), (128, 256)])
def test_C2_8_the_two_halves_make_the_fractals_of_the_whole(bm, bn):
    _, l1 = nz_halves(bm, bn)
    m, n = np.meshgrid(np.arange(bm), np.arange(bn), indexing='ij')
    assert (l1[n // 16, m // 16, m % 16, n % 16] == m * bn + n).all()


def test_C2_9_no_automatic_synchronisation():
    assert not any(EXPERT.values())
    assert not any(bool(v) for v in kernel().pass_configs.values())


def test_C2_9_events_by_hand_and_by_the_compiler_are_refused_together():
    """The compiler knows no bridge: it would take both through GM, whole tiles for each vector core, which the halves cannot hold."""
    source = kernel().source
    with pytest.raises(TileTwinError, match='qk_ub has 32 elements'):
        compile_kernel(source, out_idx=[3], platform='A5', pass_configs=DEVELOPER)


@pytest.mark.parametrize('chip', ['a2', 'a3'])
def test_C2_10_only_a5_has_the_bridges(chip):
    q = torch.zeros(1, 1, 64, 64).half()
    with pytest.raises(TileTwinError, match=f'is not written for {chip}'):
        operators()['flash_attn.a5_serial'](q, q, q, arch=chip)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_C2_11_the_output_has_the_dtype_of_the_inputs(dtype):
    q = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(4)).to(dtype)
    v = torch.ones(1, 1, 64, 64, dtype=dtype)
    out = operators()['flash_attn.a5_serial'](q, q, v, arch='a5', cores=1)
    assert out.dtype == dtype
    torch.testing.assert_close(out, v, rtol=4e-3, atol=0)
