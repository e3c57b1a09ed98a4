"""Cross-core flags and barriers order the cores (dialect 6.4, 6.3); what can never proceed is reported, not hung."""

import pytest
import torch

from tests.sim.build import CID, VID, at, bin_, chip, copy, cube, gm, kernel, loop, op, ub, v, vec
from tests.sim.chip import same
from tiletwin.errors import Span
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import If, Instr
from tiletwin.sim.execute import DataEngine


def ping_pong(steps, cube_waits=True):
    """Cube doubles a tile, the vector cores add one to their halves, and so on, through one GM workspace."""
    X, W = gm('X', (2, 16, 16)), gm('W', (2, 16, 16))
    l1, e1, acc, u = chip('l1', 'L1', (16, 16)), chip('e1', 'L1', (16, 16)), chip('acc', 'L0C', (16, 16)), ub('u', (8, 16))
    tile = at(W, [CID, 0, 0], [1, 16, 16])
    half = at(W, [CID, bin_('*', VID, 8), 0], [1, 8, 16])
    wait = [op('wait_cross_flag', 1, '')] if cube_waits else []
    body = [cube(copy(at(X, [0, 0, 0], [1, 16, 16]), e1),
                 loop('k', steps, copy(tile, l1), op('gemm_v0', e1, l1, acc, True, M=16, N=16, K=16), copy(acc, tile),
                                                               op('set_cross_flag', 'FIX', 0, mode=2), *wait)),
            vec(loop('k2', steps, op('wait_cross_flag', 0, ''), copy(half, u), op('adds', u, u, E.Const(1.0, 'float32')), copy(u, half),
                     op('set_cross_flag', 'MTE3', 1, mode=2)))]
    return kernel([X, W, l1, e1, acc, u], body, blocks=2)


@pytest.mark.parametrize('steps', [1, 3, 6])
def test_mode_2_alternates_cube_and_vector(steps):
    w = torch.ones(2, 16, 16)
    result = DataEngine(ping_pong(steps)).run({'X': torch.eye(16).mul(2).repeat(2, 1, 1), 'W': w})
    value = 1.0
    for _ in range(steps):
        value = 2 * value + 1
    assert result.stuck == ()
    same(w, torch.full((2, 16, 16), value))


def test_flags_are_counters():
    """A cube that never waits runs ahead; its sets are not lost."""
    w = torch.ones(2, 16, 16)
    result = DataEngine(ping_pong(3, cube_waits=False)).run({'X': torch.eye(16).mul(2).repeat(2, 1, 1), 'W': w})
    assert result.stuck == ()
    same(w, torch.full((2, 16, 16), 8.0 + 3))


def test_cube_needs_the_set_of_both_vector_cores():
    O, u, acc = gm('O', (8,)), ub('u', (8,)), chip('acc', 'L0C', (16, 16))
    here = Span('kernel.py', 7)
    wait = Instr('wait_cross_flag', (E.Const(3), ''), {}, here)
    one = If(bin_('==', VID, 0), (op('set_cross_flag', 'MTE3', 3, mode=2),), ())
    result = DataEngine(kernel([O, u, acc], [cube(wait), vec(one)], blocks=2)).run({'O': torch.zeros(8)})
    assert result.stuck == ((0, 'AIC', here), (1, 'AIC', here))


def test_one_vector_core_suffices_in_threads1():
    O, u = gm('O', (8,)), ub('u', (8,))
    body = [cube(op('wait_cross_flag', 3, '')), vec(op('set_cross_flag', 'MTE3', 3, mode=2))]
    assert DataEngine(kernel([O, u], body, form='threads1')).run({'O': torch.zeros(8)}).stuck == ()


def neighbours(sync, blocks, target='ascendc'):
    """Every vector core writes its number, then reads its neighbour's."""
    n = blocks * 2
    W, O, u = gm('W', (n, 8)), gm('O', (n, 8)), ub('u', (1, 8))
    me = bin_('+', bin_('*', CID, 2), VID)
    other = bin_('%', bin_('+', me, 1), n)
    body = [vec(op('fill', u, E.Cast(me, 'float32')), copy(u, at(W, [me, 0], [1, 8])), *sync, copy(at(W, [other, 0], [1, 8]), u),
                copy(u, at(O, [me, 0], [1, 8])))]
    return kernel([W, O, u], body, blocks=blocks), n


@pytest.mark.parametrize('blocks', [1, 4])
@pytest.mark.parametrize('how', ['sync_all', 'mode 0'])
def test_launch_wide_barriers(blocks, how):
    sync = [op('sync_all')] if how == 'sync_all' else [op('set_cross_flag', 'MTE3', 2, mode=0), op('wait_cross_flag', 2, '')]
    program, n = neighbours(sync, blocks)
    if how == 'sync_all':  # AscendC counts the cubes as well
        program = program.with_body((*program.body, cube(op('sync_all'))))
    out = torch.zeros(n, 8)
    assert DataEngine(program).run({'W': torch.zeros(n, 8), 'O': out}).stuck == ()
    same(out, ((torch.arange(n) + 1) % n).float()[:, None].expand(n, 8).contiguous())


def test_sync_all_of_one_kind_hangs_on_ascendc_and_works_on_pto():
    program, n = neighbours([op('sync_all')], 2)
    out = torch.zeros(n, 8)
    stuck = DataEngine(program, 'ascendc').run({'W': torch.zeros(n, 8), 'O': out}).stuck
    assert [(cid, core) for cid, core, _ in stuck] == [(0, 'AIV0'), (0, 'AIV1'), (1, 'AIV0'), (1, 'AIV1')]
    assert DataEngine(program, 'pto').run({'W': torch.zeros(n, 8), 'O': out}).stuck == ()


def test_mode_1_joins_the_vector_cores_of_a_block():
    program, n = neighbours([op('set_cross_flag', 'MTE3', 2, mode=1), op('wait_cross_flag', 2, '')], 1)
    out = torch.zeros(n, 8)
    assert DataEngine(program).run({'W': torch.zeros(n, 8), 'O': out}).stuck == ()
    same(out[:, 0], torch.tensor([1.0, 0.0]))


def test_flag_ids_may_be_computed():
    O, u = gm('O', (8,)), ub('u', (8,))
    k = v('k')
    body = [cube(loop('k', 4, op('set_cross_flag', 'FIX', bin_('%', k, 2), mode=2))),
            vec(loop('j', 4, op('wait_cross_flag', bin_('%', v('j'), 2), '')))]
    assert DataEngine(kernel([O, u], body)).run({'O': torch.zeros(8)}).stuck == ()
