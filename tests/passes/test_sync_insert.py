"""Automatic synchronisation as the compiler does it, rule by rule (dialect 8.20). Expected: what stands in front of each statement."""

import pytest

from tiletwin.ir import expr as E
from tiletwin.ir.nodes import For, If, Instr, Let, Region, Scope, Store, While
from tiletwin.machine.chip import chip
from tiletwin.passes import inject_tmp, memory_planning, sync_insert
from tiletwin.passes.context import AUTO_SYNC, PassContext

from ..hazards.kernels import Kernel, at, c


class Tiles(Kernel):
    def __init__(self):
        super().__init__()
        self.A, self.B, self.C = (self.alloc(n, 'GM', (64, 64), 'float32') for n in 'ABC')
        self.a, self.b, self.s = (self.alloc(n, 'UB', (16, 64), 'float32') for n in 'abs')
        self.v, self.ix = self.alloc('v', 'UB', (16,), 'float32'), self.alloc('ix', 'UB', (16,), 'int32')
        self.l1, self.l0a = self.alloc('l1', 'L1', (64, 64)), self.alloc('l0a', 'L0A', (64, 64))
        self.l0b, self.acc = self.alloc('l0b', 'L0B', (64, 64)), self.alloc('acc', 'L0C', (64, 64), 'float32')
        self.H = self.alloc('H', 'GM', (64, 64))

    def load(self, tile, tensor=None, row=0):
        return self.copy(at(tensor or self.A, (row, 0), (16, 64)), tile)

    def save(self, tile, tensor=None, row=0):
        return self.copy(tile, at(tensor or self.C, (row, 0), (16, 64)))

    def exp(self, dst, src):
        return self.instr('exp', dst, src)

    def get(self, b, i):
        return E.Load(b.name, (c(i),), b.dtype)


def lines(program, body, depth=0) -> list[str]:
    """`+` for what the pass put there, the operation otherwise."""
    out = []
    for s in body:
        pad = '  ' * depth
        match s:
            case Instr(op='set_flag' | 'wait_flag', args=(src, dst, ident), origin='sync_insert'):
                if s.op == 'wait_flag':
                    out.append(f'{pad}+ {src}_{dst} {ident.value}')
            case Instr(op='pipe_barrier', args=(pipe,), origin='sync_insert'):
                out.append(f'{pad}+ {pipe}')
            case Instr():
                out.append(pad + s.op)
            case Store():
                out.append(pad + 'store')
            case Let():
                out.append(pad + 'let')
            case For() | While():
                out += [pad + 'loop', *lines(program, s.body, depth + 1)]
            case If():
                out += [pad + 'if', *lines(program, s.then, depth + 1)]
                if s.els:
                    out += [pad + 'else', *lines(program, s.els, depth + 1)]
            case Scope():
                out += [pad + f'scope {s.core}', *lines(program, s.body, depth + 1)]
    return out


def inserted(body, k, on='a3'):
    ctx = PassContext(chip(on), 'ascendc', frozenset([AUTO_SYNC]))
    program = k.program()
    program = program.with_body(tuple(body))
    for step in (inject_tmp, memory_planning, sync_insert):
        program = step.run(program, ctx)
    return lines(program, program.body)


def gather(k, *body):
    return For(E.Var('i'), c(0), c(4), tuple(body))


def reduce(k, out, src):
    return k.instr('reduce', out, src, kind='max', dim=-1, clear=True, M=1, N=16, cols=16, real_shape=None)


ROWS = {
    'read_after_write_of_another_pipe': (lambda k: [k.load(k.a), k.exp(k.b, k.a)], ['copy', '+ MTE2_V 1', 'exp']),
    'write_after_read_of_another_pipe': (lambda k: [k.exp(k.b, k.a), k.load(k.a)], ['exp', '+ V_MTE2 1', 'copy']),
    'reads_need_nothing': (lambda k: [k.save(k.a), k.exp(k.b, k.a)], ['copy', 'exp']),
    'same_pipe_takes_a_barrier': (lambda k: [k.exp(k.b, k.a), k.exp(k.s, k.b)], ['exp', '+ V', 'exp']),
    'one_barrier_serves_later_statements': (lambda k: [k.exp(k.a, k.v), k.exp(k.b, k.v), k.exp(k.s, k.a), k.exp(k.v, k.b)], ['exp', 'exp', '+ V', 'exp', 'exp']),
    'only_the_last_access_is_remembered': (lambda k: [k.load(k.a), k.exp(k.b, k.a), k.save(k.a)], ['copy', '+ MTE2_V 1', 'exp', 'copy']),
    'first_of_two_readers_is_forgotten': (lambda k: [k.save(k.a), k.exp(k.b, k.a), k.load(k.a)], ['copy', 'exp', '+ V_MTE2 1', 'copy']),
    'a_pair_serves_all_earlier_statements': (lambda k: [k.load(k.a), k.load(k.b), k.exp(k.s, k.a), k.exp(k.v, k.b)], ['copy', 'copy', '+ MTE2_V 1', 'exp', 'exp']),
    'pairs_are_sorted_and_come_before_barriers': (lambda k: [k.save(k.a), k.exp(k.b, k.v), k.load(k.s), k.instr('add', k.a, k.b, k.s)],
                                                  ['copy', 'exp', 'copy', '+ MTE2_V 1', '+ MTE3_V 2', '+ V', 'add']),
    'implied_by_a_chain': (lambda k: [k.mma(k.l1, k.l1, k.acc, op='gemm_v0', transpose_A=False, transpose_B=False), k.copy(k.acc, k.H), k.copy(k.H, k.l1),
                                      k.mma(k.l1, k.l1, k.acc, op='gemm_v0', transpose_A=False, transpose_B=False)],
                           ['gemm_v0', '+ M_FIX 1', 'copy', '+ FIX_MTE2 2', 'copy', '+ MTE2_M 3', 'gemm_v0']),
    'tensors_take_part_by_name': (lambda k: [k.save(k.a, row=0), k.save(k.b, row=16)], ['copy', '+ MTE3', 'copy']),
    'ids_rotate_from_one': (lambda k: [x for _ in range(4) for x in (k.load(k.a), k.exp(k.a, k.a))] + [k.save(k.a)],
                            ['copy', '+ MTE2_V 1', 'exp', '+ V_MTE2 2', 'copy', '+ MTE2_V 3', 'exp', '+ V_MTE2 4', 'copy', '+ MTE2_V 5', 'exp', '+ V_MTE2 6', 'copy',
                             '+ MTE2_V 7', 'exp', '+ V_MTE3 0', 'copy']),
    'loop_bodies_are_walked_twice': (lambda k: [k.loop('i', 4, k.load(k.a), k.exp(k.a, k.a))], ['loop', '  + V_MTE2 2', '  copy', '  + MTE2_V 1', '  exp']),
    'the_second_walk_spends_ids': (lambda k: [k.loop('i', 4, k.load(k.a), k.exp(k.a, k.a)), k.save(k.a)],
                                   ['loop', '  + V_MTE2 2', '  copy', '  + MTE2_V 1', '  exp', '+ V_MTE3 4', 'copy']),
    'carried_into_an_inner_loop_is_lost': (lambda k: [k.loop('i', 4, k.loop('j', 4, k.load(k.a)), k.save(k.a))],
                                           ['loop', '  loop', '    + MTE2', '    copy', '  + MTE2_MTE3 1', '  + MTE3', '  copy']),
    'carried_into_a_let_is_lost': (lambda k: [k.loop('i', 4, Let(E.Var('x'), k.get(k.ix, 0)), k.load(k.a), k.exp(k.a, k.a))],
                                   ['loop', '  + ALL', '  let', '  copy', '  + MTE2_V 1', '  exp']),
    'a_let_that_loads_nothing_is_no_block': (lambda k: [k.loop('i', 4, Let(E.Var('x'), c(1)), k.load(k.a), k.exp(k.a, k.a))],
                                             ['loop', '  let', '  + V_MTE2 2', '  copy', '  + MTE2_V 1', '  exp']),
    'branches_stand_between_full_barriers': (lambda k: [k.load(k.a), k.when(E.Bin('<', E.Var('cid'), c(1), 'bool'), k.exp(k.a, k.a)), k.save(k.a)],
                                             ['copy', '+ ALL', 'if', '  exp', '+ ALL', 'copy']),
    'each_branch_starts_afresh': (lambda k: [If(E.Bin('<', E.Var('cid'), c(1), 'bool'), (k.exp(k.a, k.a),), (k.exp(k.a, k.a), k.exp(k.a, k.a)))],
                                  ['+ ALL', 'if', '  exp', 'else', '  exp', '  + V', '  exp', '+ ALL']),
    'a_branch_that_ends_a_loop_has_two_barriers_behind': (lambda k: [k.loop('i', 4, k.when(E.Bin('<', E.Var('i'), c(1), 'bool'), k.exp(k.a, k.a)))],
                                                          ['loop', '  + ALL', '  if', '    exp', '  + ALL', '  + ALL']),
    'a_scope_starts_afresh': (lambda k: [k.load(k.a), Scope('V', (k.exp(k.a, k.a),)), k.save(k.a)], ['copy', 'scope V', '  exp', '+ MTE2_MTE3 1', 'copy']),
    'scalar_store_waits_for_what_it_reads': (lambda k: [k.load(k.v), k.store(k.a, (0, 0), k.get(k.v, 0))], ['copy', '+ MTE2_S 1', 'store']),
    'scalar_store_ignores_its_target': (lambda k: [k.exp(k.v, k.a), k.store(k.v, (0,), E.Const(1.0, 'float32'))], ['exp', 'store']),
    'scalar_store_in_a_loop_takes_a_full_barrier': (lambda k: [k.loop('i', 4, k.store(k.v, (E.Var('i'),), k.get(k.v, 0)))], ['loop', '  + ALL', '  store']),
    'a_scalar_read_counts_as_an_access': (lambda k: [k.store(k.a, (0, 0), k.get(k.v, 0)), k.load(k.v)], ['store', '+ S_MTE2 1', 'copy']),
    'an_indirect_address_takes_a_full_barrier_and_keeps_the_rest': (
        lambda k: [gather(k, k.copy(at(k.A, (k.get(k.ix, 0), 0), (16, 64)), k.a))], ['loop', '  + ALL', '  + MTE2', '  copy']),
    'flags_of_the_user_are_not_seen': (lambda k: [k.load(k.a), k.set('MTE2', 'V'), k.wait('MTE2', 'V'), k.exp(k.b, k.a)],
                                       ['copy', 'set_flag', 'wait_flag', '+ MTE2_V 1', 'exp']),
    'scratch_of_a_reduction_counts_as_read': (lambda k: [reduce(k, k.v, k.a), reduce(k, k.ix, k.b)], ['reduce', 'reduce']),
    'scratch_read_orders_nothing_behind_a_broadcast': (lambda k: [k.instr('broadcast', k.a, k.v, axis=0), reduce(k, k.ix, k.b)], ['broadcast', 'reduce']),
    'an_operation_outside_the_table_is_invisible': (lambda k: [k.load(k.a), k.instr('row_expand_mul', k.b, k.a, k.v), k.save(k.b)], ['copy', 'row_expand_mul', 'copy']),
    'a_pair_without_an_event_is_left_alone': (lambda k: [k.store(k.l0a, (0, 0), c(0)), k.mma(k.l0a, k.l0b, k.acc)], ['store', 'mma']),
}


@pytest.mark.parametrize('rule', ROWS)
def test_inserted(rule):
    build, expected = ROWS[rule]
    k = Tiles()
    assert inserted(build(k), k) == expected


def test_a5_takes_no_barrier_between_vector_instructions():
    k = Tiles()
    assert inserted([k.exp(k.b, k.a), k.exp(k.s, k.b), k.save(k.s), k.save(k.b)], k, 'a5') == ['exp', 'exp', '+ V_MTE3 1', 'copy', '+ MTE3', 'copy']


def test_overlap_in_memory_counts_like_the_same_name():
    k = Tiles()
    k.alloc('x', 'UB', (16, 64), 'float32', address=1 << 16, annotated=True)
    k.alloc('y', 'UB', (16, 64), 'float32', address=(1 << 16) + 4064, annotated=True)
    k.alloc('z', 'UB', (16, 64), 'float32', address=(1 << 16) + 4096, annotated=True)
    x, y, z = (k.buffers[n] for n in 'xyz')
    assert inserted([k.load(x), k.instr('fill', z, 0.0), k.instr('fill', y, 0.0)], k) == ['copy', 'fill', '+ MTE2_V 1', '+ V', 'fill']


def test_nothing_without_the_config():
    k = Tiles()
    program = k.program(vector=[k.load(k.a), k.exp(k.b, k.a)])
    assert sync_insert.run(program, PassContext(chip('a3'))) is program


def test_inserted_statements_carry_the_line_they_serve():
    k = Tiles()
    first, second = k.load(k.a), k.exp(k.b, k.a)
    program = sync_insert.run(memory_planning.run(k.program(vector=[first, second]), PassContext(chip('a3'))), PassContext(chip('a3'), configs=frozenset([AUTO_SYNC])))
    added = [s for s in program.body[1].body if s.origin == 'sync_insert']
    assert {s.span for s in added} == {second.span} and all(not isinstance(a, Region) for s in added for a in s.args)
