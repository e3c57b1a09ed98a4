"""Every rule of the verifier: a valid Program passes, and one change that breaks the rule is named with its line and its pass."""

from dataclasses import replace

import pytest

from tiletwin.errors import Span, VerifyError
from tiletwin.ir import verify as V
from tiletwin.ir.expr import Bin, Const, Load, Var
from tiletwin.ir.nodes import Break, Buffer, For, If, Instr, Launch, Let, Program, Region, Scope, Store

AT = Span('kernel.py', 7)


def buffer(name, space, shape, dtype='float16', **more):
    return Buffer(name, space, tuple(Const(d) if isinstance(d, int) else d for d in shape), dtype, AT, **more)


def at(name, starts, extents, form='region'):
    return Region(name, tuple(Const(s) if isinstance(s, int) else s for s in starts), tuple(Const(e) if isinstance(e, int) else e for e in extents),
                  form)


def whole(name, *extents):
    return at(name, (0,) * len(extents), extents, 'buffer')


BUFFERS = [buffer('A', 'GM', (128, 64)), buffer('F', 'GM', (128, 64), 'float32'), buffer('l1', 'L1', (32, 64)), buffer('l1t', 'L1', (64, 32)),
           buffer('a0', 'L0A', (32, 64)), buffer('b0', 'L0B', (64, 32)), buffer('c0', 'L0C', (32, 32), 'float32'), buffer('u', 'UB', (32, 64),
                                                                                                                          'float32'),
           buffer('h', 'UB', (32, 64)), buffer('c', 'UB', (32,), 'float32'), buffer('mask', 'UB', (256,), 'uint8'), buffer('n', 'VAR', (1,), 'int32',
                                                                                                                           init=0)]
COPY = {'relu': False, 'transpose': False, 'pad': None}
GEMM = {'M': 32, 'N': 32, 'K': 64, 'transpose_A': False, 'transpose_B': False}


def instr(op, *args, **attrs):
    return Instr(op, args, attrs, AT)


def good_body():
    k = Var('k')
    return (
        Scope('C', (For(k, Const(0), Const(2), (
            instr('copy', at('A', (Bin('*', k, Const(32)), 0), (32, 64), 'element'), whole('l1', 32, 64), **COPY),
            instr('set_flag', 'MTE2', 'MTE1', Const(0)),
            instr('gemm_v0', whole('l1', 32, 64), whole('l1t', 64, 32), whole('c0', 32, 32), Bin('==', k, Const(0), 'bool'), **GEMM),
        ), span=AT),), AT),
        Scope('V', (Let(Var('x'), Const(3), AT), instr('adds', whole('u', 32, 64), whole('u', 32, 64), at('c', (Var('x'),), (1,), 'element')),
                    Store('n', (Const(0),), Var('x'), AT)), AT),
    )


def program(*extra, buffers=(), drop=(), launch=None, body=None):
    known = {b.name: b for b in [*BUFFERS, *buffers] if b.name not in drop}
    return Program('main', ('A', 'F'), known, launch or Launch(Var('cid'), Var('vid'), Const(4), 'cid_vid'),
                   (good_body() if body is None else body) + extra, {}, Span('kernel.py', 1))


def test_a_valid_program_passes_and_is_returned():
    good = program()
    assert V.verify(good, 'a pass', 'ascendc') is good


U, H, L1 = whole('u', 32, 64), whole('h', 32, 64), whole('l1', 32, 64)
BROKEN = {
    # rule: (name, program, text of the error)
    'unknown op': ('known-op', program(instr('fma', U, U)), "unknown instruction 'fma'"),
    'missing attribute': ('known-op', program(instr('broadcast', U, U)), "no attribute 'axis'"),
    'too few operands': ('operand-kind', program(instr('add', U, U)), 'takes 3 operands but has 2'),
    'scalar for a tile': ('operand-kind', program(instr('add', U, U, Const(1))), 'operand 2 of add is Const'),
    'tile for a scalar': ('operand-kind', program(instr('adds', U, U, U)), 'operand 2 of adds is Region'),
    'number for a string': ('operand-kind', program(instr('compare', whole('mask', 256), U, U, Const(1))), 'operand 3 of compare'),
    'unknown buffer': ('region', program(instr('exp', U, whole('z', 32, 64))), "no buffer 'z'"),
    'wrong rank': ('region', program(instr('exp', U, whole('u', 2048))), '2 dimensions but the operand has 1'),
    'beyond the tile': ('region', program(instr('exp', at('u', (8, 0), (32, 64)), U)), '32 elements in dimension 0 but the slice reaches 40'),
    'before the tile': ('region', program(instr('exp', at('u', (-1, 0), (1, 64)), at('u', (0, 0), (1, 64)))), 'starts at -1'),
    'empty slice': ('region', program(instr('exp', at('u', (0, 0), (0, 64)), at('u', (0, 0), (1, 64)))), 'extent 0'),
    'odd form': ('region', program(instr('exp', at('u', (0, 0), (1, 64), 'slice'), at('u', (0, 0), (1, 64)))), "form 'slice'"),
    'vector op on L1': ('operand-space', program(instr('exp', L1, L1)), 'l1 is in L1, but exp works on UB'),
    'gemm on UB': ('operand-space', program(instr('gemm_v0', H, whole('l1t', 64, 32), whole('c0', 32, 32), Const(True, 'bool'), **GEMM)),
                   'h is in UB, but gemm_v0 works on L1'),
    'no data path': ('copy-route', program(instr('copy', L1, H, **COPY)), 'no data path L1 -> UB'),
    'converting load': ('copy-route', program(instr('copy', at('F', (0, 0), (32, 64)), L1, **COPY)), 'copy of float32 F to float16 l1'),
    'gemm shape': ('cube-shape', program(instr('gemm_v0', L1, whole('l1t', 64, 32), whole('c0', 32, 32), Const(True, 'bool'), **GEMM | {'K': 32})),
                   'K=32'),
    'gemm types': ('cube-shape', program(instr('mma', whole('a0', 32, 64), whole('b1', 64, 32), whole('c0', 32, 32), Const(True, 'bool'), M=32, N=32,
                                               K=64),
                                         buffers=[buffer('b1', 'L0B', (64, 32), 'int8')]), 'mma of float16 by int8 into float32'),
    'undefined name': ('defined-before-use', program(Store('n', (Const(0),), Var('y'), AT)), 'y is used where it is not defined'),
    'name after its block': ('defined-before-use', program(Store('n', (Const(0),), Var('x'), AT)), 'x is used where it is not defined'),
    'load of an unknown buffer': ('defined-before-use', program(Store('n', (Const(0),), Load('z', (Const(0),), 'int32'), AT)), "no buffer 'z'"),
    'name bound twice': ('unique-names', program(Let(Var('k'), Const(1), AT)), 'the name k is bound twice'),
    'name of a buffer': ('unique-names', program(Let(Var('u'), Const(1), AT)), 'the name u is bound twice'),
    'unknown memory': ('buffers', program(buffers=[buffer('q', 'L2', (8,))]), "q is in 'L2'"),
    'symbolic tile': ('buffers', program(buffers=[buffer('q', 'UB', (Var('m'),))]), 'q has a symbolic extent'),
    'view of nothing': ('buffers', program(buffers=[buffer('q', 'UB', (8,), alias_of='z')]), 'q views z'),
    'view across memories': ('buffers', program(buffers=[buffer('q', 'UB', (8,), alias_of='l1')]), 'q views l1'),
    'layout in UB': ('buffers', program(buffers=[buffer('q', 'UB', (8, 16), layout='zN')]), 'has a layout'),
    'parameter on chip': ('buffers', replace(program(), params=('u',)), 'parameter u is not a GM buffer'),
    'scalar load from L0A': ('scalar-access', program(Store('n', (Const(0),), Load('a0', (Const(0), Const(0)), 'float16'), AT)),
                             'scalar access to a0 in L0A'),
    'scalar rank': ('scalar-access', program(Store('u', (Const(0),), Const(1.0, 'float32'), AT)), '2 dimensions but 1 indices'),
    'break outside a loop': ('control', program(Break(AT)), 'break outside a loop'),
    'break in an if outside a loop': ('control', program(If(Const(True, 'bool'), (Break(AT),), (), AT)), 'break outside a loop'),
    'scope in a scope': ('control', program(Scope('C', (Scope('V', (), AT),), AT)), 'scope V inside scope C'),
    'unknown scope': ('control', program(Scope('X', (), AT)), "scope 'X'"),
    'loop kind': ('control', program(For(Var('j'), Const(0), Const(2), (), 'thread', {}, AT)), "loop kind 'thread'"),
    'kernel form': ('control', program(launch=Launch(Var('cid'), Var('vid'), Const(4), 'threads4')), "kernel form 'threads4'"),
    'no blocks': ('control', program(launch=Launch(Var('cid'), Var('vid'), Const(0), 'cid_vid')), 'a launch of 0 blocks'),
    'pipe name': ('pipes', program(instr('set_flag', 'MTE4', 'V', Const(0))), 'MTE4'),
    'pipes of two cores': ('pipes', program(instr('set_flag', 'M', 'V', Const(0))), 'no core has both pipes'),
    'flag to itself': ('pipes', program(instr('wait_flag', 'V', 'V', Const(0))), 'two different pipes'),
    'barrier pipe': ('pipes', program(instr('pipe_barrier', 'X')), 'pipe_barrier X'),
    'cross flag pipe': ('pipes', program(instr('set_cross_flag', 'ALL', Const(0), mode=2)), 'set_cross_flag ALL'),
    'cross wait pipe': ('pipes', program(instr('wait_cross_flag', Const(0), 'X')), 'wait_cross_flag X'),
    'float index': ('integer-index', program(instr('exp', at('u', (Const(1.0, 'float32'), 0), (1, 64)), at('u', (0, 0), (1, 64)))),
                    'float expression'),
}


@pytest.mark.parametrize('case', BROKEN)
def test_broken_rule_is_named_with_line_and_pass(case):
    rule, broken, text = BROKEN[case]
    with pytest.raises(VerifyError) as caught:
        V.verify(broken, 'vid reduction')
    assert f'[rule {rule}, after vid reduction]' in str(caught.value)
    assert text in str(caught.value)
    assert caught.value.where in (AT, Span('kernel.py', 1))


ASCENDC = {
    'converting DMA': ('copy-type', program(instr('copy', at('A', (0, 0), (32, 64)), U, **COPY)), 'copy of float16 A to float32 u'),
    'short comparison': ('compare-bytes', program(instr('compare', at('mask', (0,), (8,)), at('u', (0, 0), (1, 32)), at('u', (1, 0), (1, 32)), 'GT')),
                         'Compare alignment error'),
    'short scalar comparison': ('compare-bytes', program(instr('compare_scalar', at('mask', (0,), (8,)), at('u', (0, 0), (1, 32)),
                                                               Const(0.0, 'float32'), 'GT')), 'CompareScalar alignment error'),
    'row_expand_mul': ('row-expand-mul', program(instr('row_expand_mul', U, U, whole('c', 32))), 'TROWEXPANDMUL'),
    'reduced pitch': ('reduce-pitch', program(instr('reduce', whole('c', 32), U, kind='sum', dim=-1, clear=True, M=32, N=60, cols=64,
                                                    real_shape=(Const(32), Const(60)))), '60 valid elements out of 64'),
}


@pytest.mark.parametrize('case', ASCENDC)
def test_rules_of_the_ascendc_generator_do_not_bind_pto(case):
    rule, broken, text = ASCENDC[case]
    V.verify(broken, 'the front end', 'pto')
    with pytest.raises(VerifyError) as caught:
        V.verify(broken, 'the front end', 'ascendc')
    assert f'[rule {rule},' in str(caught.value) and text in str(caught.value)


def test_every_rule_has_a_broken_program():
    assert set(V.COMMON.rules) == {rule for rule, _, _ in BROKEN.values()}
    assert set(V.ASCENDC.rules) == {rule for rule, _, _ in ASCENDC.values()}
