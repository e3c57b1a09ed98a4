"""In-place merging (dialect 8.15): which tiles become one."""

import pytest

from tiletwin.ir import expr as E
from tiletwin.machine.chip import chip
from tiletwin.passes import storage_rewrite
from tiletwin.passes.context import PassContext

from ..hazards.kernels import Kernel

I, J = E.Var('i'), E.Var('j')


class Pair(Kernel):
    def __init__(self, dtype='float32', shape=(16, 64)):
        super().__init__()
        self.G = self.alloc('G', 'GM', (16, 64), 'float32')
        self.a, self.b = self.alloc('a', 'UB', (16, 64), 'float32'), self.alloc('b', 'UB', shape, dtype)

    def nest(self, *body):
        return self.loop('i', 16, self.loop('j', 64, *body))

    def of_a(self, i=I, j=J):
        return E.Bin('*', E.Load('a', (i, j), 'float32'), E.Const(2.0, 'float32'), 'float32')

    def make(self, value=None):
        return self.nest(self.store(self.b, (I, J), value or self.of_a()))


MERGED = {
    'computed_from_the_same_element': lambda k: [k.copy(k.G, k.a), k.make(), k.copy(k.b, k.G)],
    'used_by_other_instructions_afterwards': lambda k: [k.copy(k.G, k.a), k.make(), k.instr('exp', k.b, k.b), k.copy(k.b, k.G)],
    'one_element_outside_loops': lambda k: [k.copy(k.G, k.a), k.store(k.b, (0, 1), k.of_a(E.Const(0), E.Const(1))), k.copy(k.b, k.G)],
}
APART = {
    'source_used_afterwards': lambda k: [k.copy(k.G, k.a), k.make(), k.instr('add', k.b, k.b, k.a), k.copy(k.b, k.G)],
    'another_element': lambda k: [k.copy(k.G, k.a), k.nest(k.store(k.b, (I, J), k.of_a(I, E.Bin('-', E.Const(63), J)))), k.copy(k.b, k.G)],
    'destination_exists_before': lambda k: [k.copy(k.G, k.a), k.instr('fill', k.b, 0.0), k.make(), k.copy(k.b, k.G)],
    'destination_read_in_the_statement': lambda k: [k.copy(k.G, k.a), k.make(E.Bin('+', k.of_a(), E.Load('b', (I, J), 'float32'), 'float32')), k.copy(k.b, k.G)],
    'made_by_a_vector_instruction': lambda k: [k.copy(k.G, k.a), k.instr('exp', k.b, k.a), k.copy(k.b, k.G)],
    'source_steers_the_statement': lambda k: [k.copy(k.G, k.a), k.nest(k.when(E.Bin('<', E.Load('a', (I, J), 'float32'), E.Const(0), 'bool'),
                                                                             k.store(k.b, (I, J), k.of_a()))), k.copy(k.b, k.G)],
    'indirect_index': lambda k: [k.copy(k.G, k.a), k.nest(k.store(k.b, (I, J), k.of_a(I, E.Load('a', (I, J), 'int32')))), k.copy(k.b, k.G)],
}


def after(k, body):
    done = storage_rewrite.run(k.program(vector=body), PassContext(chip('a3')))
    return done


@pytest.mark.parametrize('rule', MERGED)
def test_merged(rule):
    k = Pair()
    done = after(k, MERGED[rule](k))
    assert 'b' not in done.buffers and done.body[1].body[-1].args[0].buffer == 'a'


@pytest.mark.parametrize('rule', APART)
def test_left_apart(rule):
    k = Pair()
    program = k.program(vector=APART[rule](k))
    assert storage_rewrite.run(program, PassContext(chip('a3'))) is program


@pytest.mark.parametrize('other', [dict(dtype='float16'), dict(shape=(16, 32))])
def test_only_alike_tiles_merge(other):
    k = Pair(**other)
    assert 'b' in after(k, [k.copy(k.G, k.a), k.make(), k.copy(k.b, k.G)]).buffers
