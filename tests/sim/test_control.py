"""Scalar code, row loops and T.Parallel: the fast forms equal the loops they stand for (dialect 2.5, 5.5, 5.6.4)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.build import CID, VID, at, bin_, copy, element, gm, kernel, load, loop, op, store, ub, v, vec
from tests.sim.chip import data, name_of, run_ub, same
from tiletwin.errors import Span, TileTwinError
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Break, Buffer, If, Let, Store, While
from tiletwin.sim.execute import DataEngine

HALF, BF, F32, I32 = torch.float16, torch.bfloat16, torch.float32, torch.int32
SEED = st.integers(0, 1 << 20)
FEW = settings(max_examples=10)
EXACT = pytest.mark.parametrize('exact', [False, True], ids=['shadow', 'bytes'])


# -- row loops --------------------------------------------------------------------------------------------------------
ROW_OPS = ['adds', 'subs', 'muls', 'divs', 'maxs', 'mins']


def row(b, r, start=0):
    return at(b, [r if start == 0 else bin_('+', r, start), 0], [1, b.dims[1]])


@EXACT
@pytest.mark.parametrize('dtype', [HALF, BF, F32])
@pytest.mark.parametrize('name', ROW_OPS)
@FEW
@given(rows=st.integers(2, 9), cols=st.integers(1, 20), seed=SEED)
def test_a_row_loop_with_a_scalar_per_row(name, dtype, exact, rows, cols, seed):
    x, s = data(seed, (rows, cols), dtype), data(seed + 1, (rows,), dtype, 0.5, 3)
    loops = run_ub({'x': x, 's': s}, lambda u: [loop('r', rows, op(name, row(u['x'], v('r')), row(u['x'], v('r')), element(u['s'], v('r'))))],
                   exact=exact)['x']
    alone = torch.cat([run_ub({'x': x[i:i + 1], 's': s[i:i + 1]},
                              lambda u: [op(name, u['x'], u['x'], element(u['s'], 0))])['x'] for i in range(rows)])
    same(loops, alone)


LOOPS = {
    'chain': lambda u, r: [op('sub', row(u['x'], r), row(u['x'], r), row(u['y'], r)), op('exp', row(u['x'], r), row(u['x'], r)),
                           op('muls', row(u['x'], r), row(u['x'], r), element(u['s'], r))],
    'carried': lambda u, r: [op('add', row(u['x'], r, 1), row(u['x'], r), row(u['y'], r))],
    'accumulated': lambda u, r: [op('add', row(u['y'], E.Const(0)), row(u['y'], E.Const(0)), row(u['x'], r))],
    'crossed': lambda u, r: [op('adds', row(u['x'], r), row(u['y'], r), E.Const(1.0, 'float32')),
                             op('adds', row(u['y'], r, 1), row(u['x'], r), E.Const(2.0, 'float32'))],
    'scalar written': lambda u, r: [op('muls', at(u['s'], [r], [1]), at(u['s'], [r], [1]), E.Const(2.0, 'float32')),
                                    op('muls', row(u['x'], r), row(u['x'], r), element(u['s'], r))],
    'shared row': lambda u, r: [op('axpy', row(u['x'], r), row(u['y'], E.Const(0)), element(u['s'], r))],
    'filled': lambda u, r: [op('fill', row(u['x'], r), element(u['s'], r)), op('pipe_barrier', 'V')],
}


def one_by_one(name, x, y, s):
    """The loop in plain float32, iteration after iteration."""
    x, y, s = x.clone(), y.clone(), s.clone()
    for r in range(x.shape[0] - 1):
        if name == 'chain':
            x[r] = torch.exp(x[r] - y[r]) * s[r]
        elif name == 'carried':
            x[r + 1] = x[r] + y[r]
        elif name == 'accumulated':
            y[0] = y[0] + x[r]
        elif name == 'crossed':
            x[r] = y[r] + 1
            y[r + 1] = x[r] + 2
        elif name == 'scalar written':
            s[r] = s[r] * 2
            x[r] = x[r] * s[r]
        elif name == 'shared row':
            x[r] = x[r] + y[0] * s[r]
        else:
            x[r] = s[r]
    return x, y, s


@pytest.mark.parametrize('name', LOOPS)
@FEW
@given(rows=st.integers(3, 8), cols=st.integers(1, 12), seed=SEED)
def test_row_loops_keep_the_order_of_iterations(name, rows, cols, seed):
    x, y, s = data(seed, (rows, cols), F32), data(seed + 1, (rows, cols), F32), data(seed + 2, (rows,), F32)
    got = run_ub({'x': x, 'y': y, 's': s}, lambda u: [loop('r', rows - 1, *LOOPS[name](u, v('r')))])
    for key, want in zip('xys', one_by_one(name, x, y, s)):
        assert torch.allclose(got[key], want, rtol=1e-6, atol=0), name


# -- T.Parallel -------------------------------------------------------------------------------------------------------
def nest(m, n, *stores):
    return loop('i', m, loop('j', n, *stores, kind='parallel'), kind='parallel')


I, J = v('i'), v('j')


def fe(o, a, b, d='float32'):
    return E.Bin(o, a, b, d)


PARALLEL = {
    'sum': (lambda u: store(u['d'], [I, J], fe('+', load(u['x'], I, J), load(u['y'], I, J))), lambda x, y, s: x + y),
    'row factor': (lambda u: store(u['d'], [I, J], fe('*', load(u['x'], I, J), load(u['s'], I))), lambda x, y, s: x * s[:x.shape[0], None]),
    'column factor': (lambda u: store(u['d'], [I, J], fe('-', load(u['x'], I, J), load(u['s'], J))), lambda x, y, s: x - s[None, :x.shape[1]]),
    'select': (lambda u: store(u['d'], [I, J], E.Select(fe('>', load(u['x'], I, J), E.Const(0.0, 'float32'), 'bool'), load(u['y'], I, J),
                                                        E.Const(-1.0, 'float32'), 'float32')),
               lambda x, y, s: torch.where(x > 0, y, -1.0)),
    'left scalar': (lambda u: store(u['d'], [I, J], fe('-', E.Const(1.0, 'float32'), E.Un('exp', load(u['x'], I, J), 'float32'))),
                    lambda x, y, s: 1 - torch.exp(x)),
    'index': (lambda u: store(u['d'], [I, J], fe('+', E.Cast(bin_('+', bin_('*', I, 3), J), 'float32'), load(u['x'], I, J))),
              lambda x, y, s: x + (torch.arange(x.shape[0])[:, None] * 3 + torch.arange(x.shape[1])).float()),
    'half index': (lambda u: store(u['d'], [I, J], load(u['s'], bin_('//', J, 2))),
                   lambda x, y, s: s[torch.arange(x.shape[1]) // 2][None, :].expand_as(x)),
    'in place': (lambda u: store(u['d'], [I, J], fe('max', fe('*', load(u['d'], I, J), load(u['x'], I, J)), load(u['y'], I, J))),
                 lambda x, y, s: torch.maximum(0.5 * x, y)),
    'transposed read': (lambda u: store(u['d'], [I, J], load(u['t'], J, I)), lambda x, y, s: y),
    'accumulated': (lambda u: store(u['s'], [E.Const(0)], fe('+', load(u['s'], 0), load(u['x'], I, J))), None),
    'carried': (lambda u: store(u['s'], [bin_('+', J, 1)], fe('+', load(u['s'], J), load(u['x'], I, J))), None),
}


@EXACT
@pytest.mark.parametrize('name', PARALLEL)
@FEW
@given(m=st.integers(1, 6), n=st.integers(1, 9), seed=SEED)
def test_parallel_means_the_scalar_loops(name, exact, m, n, seed):
    x, y, s = data(seed, (m, n), F32), data(seed + 1, (m, n), F32), data(seed + 2, (16,), F32)
    make, want = PARALLEL[name]
    tiles = {'x': x, 'y': y, 's': s, 'd': torch.full((m, n), 0.5), 't': y.T.contiguous()}
    got = run_ub(tiles, lambda u: [nest(m, n, make(u))], exact=exact)
    if want is not None:
        assert torch.allclose(got['d'], want(x, y, s), rtol=1e-6, atol=1e-6)
        return
    for i in range(m):
        for j in range(n):
            if name == 'carried':
                s[j + 1] = s[j] + x[i, j]
            else:
                s[0] = s[0] + x[i, j]
    same(got['s'], s)


FUNCTIONS = {'rsqrt': torch.rsqrt, 'sigmoid': torch.sigmoid, 'exp': torch.exp, 'log': torch.log, 'sqrt': torch.sqrt, 'floor': torch.floor,
             'ceil': torch.ceil, 'trunc': torch.trunc, 'abs': torch.abs, 'tanh': torch.tanh, 'sin': torch.sin, 'cos': torch.cos,
             'round': lambda x: (x + 0.5).floor()}


@pytest.mark.parametrize('name', FUNCTIONS)
@FEW
@given(n=st.integers(1, 9), seed=SEED)
def test_scalar_functions(name, n, seed):
    x = data(seed, n, F32, 0.1, 4)
    value = lambda u, i: E.Un(name, load(u['x'], i), 'float32')  # noqa: E731
    got = run_ub({'x': x, 'p': torch.zeros(n), 'q': torch.zeros(n)},
                 lambda u: [loop('i', n, store(u['p'], [I], value(u, I)), kind='parallel'), loop('j', n, store(u['q'], [J], value(u, J)))])
    for key in 'pq':
        assert torch.allclose(got[key].double(), FUNCTIONS[name](x.double()), rtol=5e-7, atol=1e-7)


@EXACT
@pytest.mark.parametrize('dtype', [HALF, BF])
@FEW
@given(m=st.integers(1, 6), n=st.integers(1, 9), seed=SEED)
def test_narrow_expressions_round_per_operation(dtype, exact, m, n, seed):
    x, y, z = (data(seed + i, (m, n), dtype) for i in range(3))
    d = name_of(dtype)
    value = lambda u: fe('+', fe('*', load(u['x'], I, J), load(u['y'], I, J), d), load(u['z'], I, J), d)  # noqa: E731
    tiles = {'x': x, 'y': y, 'z': z, 'p': torch.zeros(m, n, dtype=dtype), 'q': torch.zeros(m, n, dtype=dtype)}
    got = run_ub(tiles, lambda u: [nest(m, n, store(u['p'], [I, J], value(u))),
                                   loop('i', m, loop('j', n, store(u['q'], [I, J], value(u))))], exact=exact)
    want = ((x.double() * y.double()).to(dtype).double() + z.double()).to(dtype)
    same(got['p'], want)
    same(got['q'], want)


@FEW
@given(n=st.integers(1, 16), seed=SEED)
def test_integer_stores_wrap(n, seed):
    x = data(seed, n, I32)
    got = run_ub({'x': x, 'd': torch.zeros(n, dtype=I32), 'e': torch.zeros(n, dtype=I32)},
                 lambda u: [loop('i', n, store(u['d'], [I], bin_('*', load(u['x'], I), 3))),
                            loop('j', n, store(u['e'], [J], bin_('*', load(u['x'], J), 3)), kind='parallel')])
    want = ((x.long() * 3 + (1 << 31)) % (1 << 32) - (1 << 31)).to(I32)
    same(got['d'], want)
    same(got['e'], want)


# -- scalars ----------------------------------------------------------------------------------------------------------
def scalar_kernel(body, *extra):
    A, O, u = gm('A', (4, 8), 'int32'), gm('O', (4, 8), 'int32'), ub('u', (4, 8), 'int32')
    return kernel([A, O, u, *extra], body(A, O, u), form='threads1')


def run_scalar(program, a, **kw):
    out = torch.zeros(4, 8, dtype=I32)
    result = DataEngine(program).run({'A': a, 'O': out}, **kw)
    return out, result


def test_gm_scalars_outside_a_tensor_read_zero_and_store_nothing():
    a = torch.arange(1, 33, dtype=I32).view(4, 8)
    program = scalar_kernel(lambda A, O, u: [vec(loop('i', 6, loop('j', 10, store(O, [I, J], bin_('+', load(A, I, bin_('+', J, 1)), 100)))))])
    out, _ = run_scalar(program, a)
    want = torch.full((4, 8), 100, dtype=I32)
    want[:, :7] += a[:, 1:]
    same(out, want)


def test_data_steers_control_and_is_logged_in_order():
    a = torch.tensor([3, 1, 0, 2] * 8, dtype=I32).view(4, 8)

    def body(A, O, u):
        return [vec(copy(A, u), loop('i', 4, Let(v('n'), load(u, I, 0)), loop('k', v('n'), store(O, [I, v('k')], bin_('+', v('k'), 1))),
                                     If(bin_('>', load(u, I, 1), 0), (store(O, [I, load(u, 0, 0)], 7),), ())))]

    out, result = run_scalar(scalar_kernel(body), a, log=True)
    want = torch.zeros(4, 8, dtype=I32)
    want[:, :3] = torch.tensor([1, 2, 3])
    want[:, 3] = 7
    same(out, want)
    assert result.logs[0, 1] == [3, 1, 3] * 4 and result.logs[0, 0] == []
    assert run_scalar(scalar_kernel(body), a)[1].logs == {}


def test_variables_whiles_and_breaks():
    count = Buffer('count', 'VAR', (), 'int32', init=5)
    total = Buffer('total', 'VAR', (), 'float32')
    c, t = E.Load('count', (), 'int32'), E.Load('total', (), 'float32')

    def body(A, O, u):
        return [vec(While(bin_('>', c, 0),
                          (Store('count', (), bin_('-', c, 1)), Store('total', (), E.Bin('+', t, E.Const(0.1, 'float32'), 'float32')),
                                            If(bin_('==', c, 1), (Break(),), ()))),
                    store(O, [0, 0], c), store(O, [0, 1], E.Cast(E.Bin('*', t, E.Const(1e9, 'float32'), 'float32'), 'int32')))]

    out, _ = run_scalar(scalar_kernel(body, count, total), torch.zeros(4, 8, dtype=I32))
    f = torch.zeros((), dtype=F32)
    for _ in range(4):
        f = f + torch.tensor(0.1)
    assert out[0, 0] == 1 and out[0, 1] == int((f * torch.tensor(1e9)).item())


def test_an_endless_loop_is_an_error_with_its_line():
    here = Span('kernel.py', 12)
    program = scalar_kernel(lambda A, O, u: [vec(While(E.Const(True, 'bool'), (store(O, [0, 0], 1),), here))])
    with pytest.raises(TileTwinError, match='iterations') as caught:
        run_scalar(program, torch.zeros(4, 8, dtype=I32))
    assert caught.value.where == here


def test_unscoped_code_runs_on_every_core_with_its_own_vid():
    O, u = gm('O', (3, 8), 'int32'), ub('u', (1, 8), 'int32')
    program = kernel([O, u],
                     [store(O, [E.Const(2), VID], 9), vec(op('fill', u, bin_('+', bin_('*', CID, 10), VID)), copy(u, at(O, [VID, 0], [1, 8])))])
    out = torch.zeros(3, 8, dtype=I32)
    DataEngine(program).run({'O': out})
    assert out.tolist() == [[0] * 8, [1] * 8, [9, 9, 0, 0, 0, 0, 0, 0]]


def test_printf_and_dump_reach_the_result_in_core_order():
    a = torch.arange(32, dtype=I32).view(4, 8)
    program = scalar_kernel(lambda A, O, u: [vec(copy(A, u), op('printf', 'v=%d x=%5.2f %s', load(u, 1, 2), E.Const(1.5, 'float32'), 'ok'),
                                                 op('dump_tensor', u, 7, 3))])
    assert run_scalar(program, a)[1].prints == ['v=10 x= 1.50 ok', 'dump_tensor u desc=7: 0 1 2']
