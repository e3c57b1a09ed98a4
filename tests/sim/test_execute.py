"""Storage, workers and errors of the data engine."""

import os

import numpy as np
import pytest
import torch

from tests.sim.build import CID, at, bin_, copy, gm, kernel, load, loop, op, store, ub, v, vec
from tests.sim.chip import data, same
from tiletwin.errors import CallError, Span, TileTwinError
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Buffer, Instr
from tiletwin.sim import workers
from tiletwin.sim.execute import DataEngine

HALF, BF, F32, I32 = torch.float16, torch.bfloat16, torch.float32, torch.int32


def f(x):
    return E.Const(float(x), 'float32')


# -- storage ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float32', 'int8', 'int32', 'uint8', 'uint16', 'float8_e4m3fn'])
def test_memory_starts_poisoned(dtype):
    t = torch.zeros(2, 16, dtype=getattr(torch, dtype))
    O, P, u = gm('O', (2, 16), dtype), gm('P', (2, 16), dtype), ub('u', (2, 16), dtype)
    untouched = t.clone()
    DataEngine(kernel([O, P, u], [vec(copy(u, O))])).run({'O': t, 'P': untouched}, frozenset({'P'}))
    for x in (t, untouched):
        if x.dtype.is_floating_point:
            assert x.to(F32).isnan().all()
        else:
            assert (x.view(torch.uint8) == 0xA5).all()


def test_tiles_at_overlapping_addresses_share_bytes():
    """A float tile read back as half and as int32, as the bytes say."""
    x = data(1, 64, F32)
    A, H, W = gm('A', (64,)), gm('H', (128,), 'float16'), gm('W', (32,), 'int32')
    a, h, w = ub('a', (64,), address=64), ub('h', (128,), 'float16', address=64), ub('w', (32,), 'int32', address=64 + 128)
    oh, ow = torch.zeros(128, dtype=HALF), torch.zeros(32, dtype=I32)
    DataEngine(kernel([A, H, W, a, h, w], [vec(copy(A, a), copy(h, H), copy(w, W))])).run({'A': x, 'H': oh, 'W': ow})
    assert torch.equal(oh.view(torch.int16), x.view(torch.int16))
    same(ow, x.view(I32)[32:])


def test_an_unwritten_narrow_tile_is_nan_also_where_bytes_are_shared():
    O, h, a = gm('O', (64,), 'float16'), ub('h', (64,), 'float16', address=0), ub('a', (64,), 'int8', address=32)
    out = torch.zeros(64, dtype=HALF)
    DataEngine(kernel([O, h, a], [vec(copy(h, O))])).run({'O': out})
    assert out.isnan().all()


def test_writes_through_a_narrow_overlay_are_rounded_in_place():
    x = data(2, 64, F32)
    A, O = gm('A', (64,)), gm('O', (64,), 'float16')
    a, h = ub('a', (64,), address=0), ub('h', (64,), 'float16', address=0)
    out = torch.zeros(64, dtype=HALF)
    other = ub('b', (64,), address=512)
    body = [vec(copy(A, other), op('cast', h, other, 'CAST_RINT', 64), op('adds', h, h, f(1)), copy(h, O))]
    DataEngine(kernel([A, O, a, h, other], body)).run({'A': x, 'O': out})
    same(out, (x.half().double() + 1).half())


@pytest.mark.parametrize('view_dtype', ['float16', 'int16'])
def test_views_share_the_bytes_of_their_buffer(view_dtype):
    x = data(3, (4, 32), HALF)
    A, O = gm('A', (4, 32), 'float16'), gm('O', (64,), view_dtype)
    u = ub('u', (4, 32), 'float16')
    w = Buffer('w', 'UB', (E.Const(64),), view_dtype, alias_of='u', alias_offset=64)
    out = torch.zeros(64, dtype=getattr(torch, view_dtype))
    DataEngine(kernel([A, O, u, w], [vec(copy(A, u), copy(w, O))])).run({'A': x, 'O': out})
    assert torch.equal(out.view(torch.int16), x.view(-1)[32:96].view(torch.int16))


def test_a_tensor_passed_twice_is_one_tensor():
    x = data(4, (16,), HALF)
    want = (x.double() + 1).half()
    A, B, u = gm('A', (16,), 'float16'), gm('B', (16,), 'float16'), ub('u', (16,), 'float16')
    DataEngine(kernel([A, B, u], [vec(copy(A, u), op('adds', u, u, f(1)), copy(u, B))], form='threads1')).run({'A': x, 'B': x})
    same(x, want)


BAD = {
    'overlapping views': lambda x: {'A': x[0:16], 'B': x[8:24]}, 'wrong dtype': lambda x: {'A': x[:16].half(), 'B': x[16:32]},
    'not contiguous': lambda x: {'A': x[::2][:16], 'B': x[:16].clone()}, 'wrong size': lambda x: {'A': x[:8], 'B': x[16:32]},
    'missing': lambda x: {'A': x[:16]},
}


@pytest.mark.parametrize('case', BAD)
def test_bad_tensors_are_refused_before_anything_runs(case):
    x = data(5, 64, F32)
    before = x.clone()
    A, B, u = gm('A', (16,)), gm('B', (16,)), ub('u', (16,))
    with pytest.raises(CallError):
        DataEngine(kernel([A, B, u], [vec(copy(A, u), copy(u, B))])).run(BAD[case](x), frozenset({'B'}))
    same(x, before)


def test_scalars_and_symbolic_sizes_are_bound():
    n, s = E.Var('n'), E.Var('s', 'float32')
    A, O, u = Buffer('A', 'GM', (n, E.Const(8)), 'float32'), Buffer('O', 'GM', (n, E.Const(8)), 'float32'), ub('u', (4, 8))
    body = [vec(loop('t', bin_('//', bin_('+', n, 3), 4), copy(at(A, [bin_('*', v('t'), 4), 0], [4, 8]), u), op('muls', u, u, s),
                     copy(u, at(O, [bin_('*', v('t'), 4), 0], [4, 8]))))]
    program = kernel([A, O, u], body, params=('A', 'O', s))
    for rows, factor in ((3, 2.0), (10, 0.5)):
        x, out = data(6, (rows, 8), F32), torch.zeros(rows, 8)
        DataEngine(program, 'ascendc', {'n': rows, 's': factor}).run({'A': x, 'O': out})
        same(out, x * factor)
    with pytest.raises(CallError, match="'s'"):
        DataEngine(program, 'ascendc', {'n': 3})


# -- workers ----------------------------------------------------------------------------------------------------------
def many_blocks(blocks, bad=None):
    A, O, u, w = gm('A', (blocks, 64)), gm('O', (blocks, 64)), ub('u', (64,)), gm('W', (2, 64))
    row = at(O, [CID, 0], [1, 64])
    here = Span('kernel.py', 3)
    body = [copy(at(A, [CID, 0], [1, 64]), u), op('exp', u, u), op('printf', 'block %d', CID), store(w, [0, 0], 5.0)]
    if bad is not None:
        body.append(Instr('copy', (at(u, [bin_('*', bin_('==', CID, bad), 60)], [64]), row), {}, here))
    return kernel([A, O, w, u], [vec(*body, copy(u, row))], blocks=blocks, form='threads1'), here


@pytest.mark.parametrize('fork', [True, False], ids=['processes', 'threads'])
@pytest.mark.parametrize('count', [1, 2, 3])
def test_results_do_not_depend_on_the_number_of_workers(count, fork, monkeypatch):
    monkeypatch.setattr(workers, 'FORK', fork and workers.FORK)
    monkeypatch.setattr(workers, 'worthwhile', lambda seconds, n, size: n > 1)
    program, _ = many_blocks(11)
    engine = DataEngine(program)
    for turn in range(2):  # the first measures, the second spreads at once
        x, out, w = data(turn, (11, 64), F32), torch.zeros(11, 64), torch.zeros(2, 64)
        result = engine.run({'A': x, 'O': out, 'W': w}, frozenset({'O'}), threads=count)
        same(out, torch.from_numpy(np.exp(x.numpy())))
        assert w[0, 0] == 5 and (w.view(-1)[1:] == 0).all()
        assert result.prints == [f'block {i}' for i in range(11)]


@pytest.mark.parametrize('count', [1, 2])
def test_an_error_in_any_block_carries_its_line(count, monkeypatch):
    monkeypatch.setattr(workers, 'worthwhile', lambda seconds, n, size: n > 1)
    program, here = many_blocks(6, bad=3)
    engine = DataEngine(program)
    engine.block_seconds = 1.0
    with pytest.raises(TileTwinError, match='block 3.*of u, which has 64') as caught:
        engine.run({'A': torch.zeros(6, 64), 'O': torch.zeros(6, 64), 'W': torch.zeros(2, 64)}, threads=count)
    assert caught.value.where == here


def test_a_worker_that_dies_is_an_error():
    parent = os.getpid()
    with pytest.raises(TileTwinError, match='without a result'):
        workers.spread(2, lambda i: () if os.getpid() == parent else os._exit(3))


def test_torch_threads_are_restored_also_after_an_error():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        program, _ = many_blocks(2, bad=1)
        with pytest.raises(TileTwinError):
            DataEngine(program).run({'A': torch.zeros(2, 64), 'O': torch.zeros(2, 64), 'W': torch.zeros(2, 64)})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_repoisoned_blocks_do_not_see_the_data_of_earlier_ones():
    O, u = gm('O', (3, 8)), ub('u', (8,))
    program = kernel([O, u], [vec(copy(u, at(O, [CID, 0], [1, 8])), op('fill', u, f(4)))], blocks=3, form='threads1')
    out = torch.zeros(3, 8)
    DataEngine(program).run({'O': out}, threads=1, repoison=True)
    assert out.isnan().all()


def test_two_engines_do_not_share_state():
    program, _ = many_blocks(2)
    a, b = DataEngine(program), DataEngine(program)
    outs = []
    for e in (a, b, a):
        outs.append(torch.zeros(2, 64))
        e.run({'A': data(9, (2, 64), F32), 'O': outs[-1], 'W': torch.zeros(2, 64)})
    same(outs[0], outs[1])
    same(outs[0], outs[2])


def test_an_element_outside_a_tile_is_an_error_of_the_kernel():
    O, u = gm('O', (8,), 'int32'), ub('u', (8,), 'int32')
    with pytest.raises(TileTwinError):
        DataEngine(kernel([O, u], [vec(loop('i', 9, store(u, [v('i')], 1)), store(O, [0], load(u, 8)))])).run({'O': torch.zeros(8, dtype=I32)})
