"""Pipelining inside a core: which statements run ahead, in which order, with how many tiles (dialect 7.2)."""

import pytest

from tiletwin.ir import expr as E
from tiletwin.ir.nodes import For, walk
from tiletwin.passes import simplify, software_pipeline, unroll
from tiletwin.passes.pipeline_plan import plan
from tiletwin.passes.refuse import CompilerRejects
from tiletwin.passes.software_pipeline import body_of

from .small import after, build, context, lines

PARAMS = 'A: T.Tensor((512, 64), "float32"), C: T.Tensor((512, 64), "float32"), I: T.Tensor((64,), "int32"), H: T.Tensor((100, 64), "float16"), n: T.int32'
TILES = '''
a = T.alloc_ub((64, 64), "float32")
b = T.alloc_ub((64, 64), "float32")
c = T.alloc_ub((64, 64), "float32")
d = T.alloc_ub((64, 64), "float32")
ix = T.alloc_ub((64,), "int32")
p = T.alloc_L1((64, 64), "float16")
q = T.alloc_L1((64, 64), "float16")
s = T.alloc_L0C((64, 64), "float32")
'''
A, B = 'T.copy(A[k * 64, 0], a)', 'T.copy(A[k * 64, 0], b)'
ADD, STORE = 'T.tile.add(c, a, b)', 'T.copy(c, C[k * 64, 0])'


def kernel(*body, head='T.Pipelined(8, num_stages=2)', before='', behind=''):
    text = f'{TILES}{before}\nfor k in {head}:\n' + '\n'.join('    ' + line for part in body for line in part.split('\n')) + f'\n{behind}'
    return after(build(text, PARAMS, 1), simplify)


def piped(*body, profile='fork', **options):
    return after(kernel(*body, **options), software_pipeline, simplify, unroll, ctx=context(profile=profile))


def planned(*body, stages=2):
    program = kernel(*body, head=f'T.Pipelined(8, num_stages={stages})')
    loop = next(s for s in walk(program.body) if isinstance(s, For))
    steps = plan(program, loop, body_of(loop)[1], stages)
    return [s.stage for s in steps], [s.order for s in steps]


PLANS = {  # statements, num_stages: stage and order of each
    ((A, B, ADD), 1): ([0, 0, 1], [1, 2, 0]),  # copies behind the computation: nothing to overwrite early
    ((A, B, ADD), 2): ([0, 0, 1], [0, 1, 2]),
    ((A, B, ADD), 3): ([0, 0, 2], [0, 1, 2]),
    ((A, B, ADD, STORE), 2): ([0, 0, 2, 2], [1, 2, 0, 3]),  # a store behind the copies: they stay behind their last user
    ((A, ADD, B, 'T.tile.mul(d, c, b)'), 2): ([0, 2, 0, 2], [1, 0, 3, 2]),
    (('T.tile.fill(a, 0.0)', B, ADD), 2): ([1, 0, 1], [1, 0, 2]),
    (('T.copy(I, ix)', 'if ix[0] > 0:\n    T.tile.exp(a, a)', STORE), 2): ([0, 2, 2], [0, 1, 2]),  # what a condition asks for comes first
    (('T.tile.exp(a, a)', 'T.copy(A[k * 64, 0], d)', STORE), 2): ([2, 2, 2], [0, 1, 2]),  # a copy nobody reads is no copy to run ahead
}


@pytest.mark.parametrize('case', PLANS)
def test_copies_run_ahead_of_their_last_user(case):
    assert planned(*case[0], stages=case[1]) == PLANS[case]


VERSIONS = {1: 1, 2: 2, 3: 3}


@pytest.mark.parametrize('stages', VERSIONS)
def test_a_prefetched_tile_has_one_slot_for_every_iteration_in_flight(stages):
    program = piped(A, B, ADD, head=f'T.Pipelined(8, num_stages={stages})')
    assert {n: b.versions for n, b in program.buffers.items() if n in 'abc'} == {'a': VERSIONS[stages], 'b': VERSIONS[stages], 'c': 1}


def test_a_copy_behind_its_user_needs_one_slot_less():
    assert piped(A, B, ADD, STORE).buffers['a'].versions == 2  # two stages ahead


@pytest.mark.parametrize('where', ['before', 'behind'])
def test_a_tile_used_outside_the_loop_keeps_one_slot(where):
    assert piped(A, B, ADD, **{where: 'T.tile.exp(a, a)'}).buffers['a'].versions == 1


def test_rounds_without_an_iteration_of_every_stage_are_written_out():
    assert lines(piped(A, 'T.tile.exp(c, a)', head='T.Pipelined(4, num_stages=2)')) == [
        'copy GM A[0] -> UB a[0]', 'for k < 3', '  copy GM A[(k+1)*64*64] -> UB a[(k+1)%2*64*64]', '  vec exp UB c[0:+4096], UB a[k%2*64*64:+4096], 4096',
        'vec exp UB c[0:+4096], UB a[4096:+4096], 4096']


TRIPS = {0: (0, 0), 1: (1, 1), 2: (2, 2), 5: (5, 5)}


@pytest.mark.parametrize('profile', ['fork', 'sound'])
@pytest.mark.parametrize('trips', TRIPS)
def test_every_iteration_is_executed_once_for_any_trip_count(trips, profile):
    """Counts executed copies and computations, with the loop extent a run-time value."""
    program = piped(A, 'T.tile.exp(c, a)', STORE, head='T.Pipelined(n, num_stages=3)', profile=profile)
    found = {'copy GM': 0, 'vec exp': 0}

    def value(e, env):
        return E.int_value(E.substitute(e, {k: E.Const(v) for k, v in env.items()}))

    def execute(body, env):
        from tiletwin.ir.nodes import If, Instr

        for s in body:
            if isinstance(s, For):
                first = value(s.start, env)
                for k in range(first, first + value(s.extent, env)):
                    execute(s.body, env | {s.var.name: k})
            elif isinstance(s, If):
                cond = E.substitute(s.cond, {k: E.Const(v) for k, v in env.items()})
                execute(s.then if cond.value else s.els, env)
            elif isinstance(s, Instr) and s.op == 'exp':
                found['vec exp'] += 1
            elif isinstance(s, Instr) and s.args[0].buffer == 'A':
                found['copy GM'] += 1

    execute(program.body, {'n': trips})
    assert tuple(found.values()) == TRIPS[trips]


def test_a_condition_around_the_body_becomes_one_on_every_statement():
    found = lines(piped('if k > 1:\n    T.copy(A[k * 64, 0], a)\n    T.tile.exp(c, a)', head='T.Pipelined(4, num_stages=2)'))
    assert found == ['for k < 3', '  if 1 < k+1', '    copy GM A[(k+1)*64*64] -> UB a[(k+1)%2*64*64]', '  if 1 < k', '    vec exp UB c[0:+4096], UB a[k%2*64*64:+4096], 4096',
                     'vec exp UB c[0:+4096], UB a[4096:+4096], 4096']


REFUSED = {
    ('T.tile.exp(c, a)',): 'not a SeqStmt',
    ('if k > 1:\n    T.tile.exp(c, a)\nelse:\n    T.tile.abs(c, a)',): 'has an else branch',
    (A, 'T.tile.exp(c, a)', A, 'T.tile.exp(d, a)'): 'Multiple writes to overlapping buffer regions detected',
}


@pytest.mark.parametrize('body', REFUSED)
def test_bodies_the_compiler_cannot_pipeline_are_rejected_and_stay_serial_in_sound(body):
    with pytest.raises(CompilerRejects, match=REFUSED[body]):
        piped(*body)
    assert 'for k < 8' in lines(piped(*body, profile='sound'))


def test_explicit_stages_and_order_override_the_plan():
    program = piped(A, 'T.tile.exp(c, a)', head='T.Pipelined(4, num_stages=2, order=[0, 1], stage=[0, 1])')
    assert lines(program)[0] == 'copy GM A[0] -> UB a[0]' and program.buffers['a'].versions == 2


KEPT_SERIAL = {
    'a tile also used outside the loop': ((A, B, ADD), {'behind': 'T.tile.exp(a, a)'}),
    'a tensor the loop itself stores': ((A, 'T.tile.exp(c, a)', 'T.copy(c, A[k * 64, 0])'), {}),
    'a tile only partly overwritten': (('T.copy(A[k * 64, 0:32], a[0, 0:32])', 'T.tile.exp(c, a)'), {}),
    'a matrix tile whose tail would stay': (('T.copy(H[k * 64, 0], p)', 'T.gemm_v0(p, p, s, init=True)'), {'head': 'T.Pipelined(2, num_stages=2)'}),
    'a loop that may be left': ((A, 'T.tile.exp(c, a)', 'if n > 2:\n    T.loop_break()'), {}),
}


@pytest.mark.parametrize('why', KEPT_SERIAL)
def test_sound_keeps_a_loop_serial_that_would_change_its_meaning(why):
    body, options = KEPT_SERIAL[why]
    program = piped(*body, profile='sound', **options)
    assert all(b.versions == 1 for b in program.buffers.values()) and sum(x.startswith('for k') for x in lines(program)) == 1


def test_sound_pipelines_what_fork_pipelines_rightly():
    assert lines(piped(A, B, ADD, STORE)) == lines(piped(A, B, ADD, STORE, profile='sound'))
