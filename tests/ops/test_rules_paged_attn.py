"""Rules C3 of paged_attn.split_kv."""

import math
from dataclasses import replace

import pytest
import torch
from .kernel_checks import instructions, run_program, scope, without, without_any
from .test_deleted_syncs import findings, program_of, read_values

import tiletwin
from ops.expert.paged_attn import combine
from ops.expert.paged_attn import kernel as expert
from tiletwin.errors import CallError
from tiletwin.harness.mutants import deletions
from tiletwin.harness.registry import operators
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import If, Instr, map_bodies
from tiletwin.passes.substitute import substitute

NAME = 'paged_attn.split_kv'
MODES = ('expert', 'developer')
LOWEST = torch.finfo(torch.float32).min


def case_of(name):
    return next(c for c in operators()[NAME].cases if c.name == name)


def launched(case, mode='expert'):
    return operators()[NAME].run_case(case_of(case), mode).launches[0]


def made(lengths, pages, Hkv=4, seed=0, shuffle=True):
    """q, caches, table, lengths with a cache page for every place of the table."""
    g = torch.Generator().manual_seed(seed)
    B = len(lengths)
    q, k, v = (torch.randn(s, generator=g).half() for s in ((B, 4 * Hkv, 128), (B * pages, 128, Hkv, 128), (B * pages, 128, Hkv, 128)))
    order = torch.randperm(B * pages, generator=g) if shuffle else torch.arange(B * pages)
    return q, k, v, order.to(torch.int32).reshape(B, pages), torch.tensor(lengths, dtype=torch.int32)


def dense(q, k, v, table, lengths):
    """Softmax over the whole sequence, nothing split, nothing paged."""
    out = torch.empty(q.shape)
    for b, n in enumerate(lengths.tolist()):
        keys, values = (x[table[b].long()].flatten(0, 1)[:n].float() for x in (k, v))
        for h in range(q.shape[1]):
            p = torch.softmax(keys[:, h // 4] @ q[b, h].float() / math.sqrt(128), 0)
            out[b, h] = p @ values[:, h // 4]
    return out


@pytest.mark.parametrize('kv_heads, attributes, says', [
    (3, {}, 'Hq is 12'), (4, {'splits': 1}, 'splits is 1'), (4, {'splits': 64}, 'splits is 64'), (4, {'splits': 2.0}, 'splits is 2.0'),
])
def test_C3_1_C3_2_support_predicate(kv_heads, attributes, says):
    with pytest.raises(CallError, match=says):
        tiletwin.operator(NAME)(*made([100], 1, kv_heads), **attributes)


@pytest.mark.parametrize('mode', MODES)
def test_C3_2_C3_12_sixty_three_splits_most_of_them_empty(mode):
    """An empty split weighs nothing: L is the lowest number, its sum 0."""
    args = made([200], 2)
    out, sums, logs = tiletwin.operator(NAME)(*args, splits=63, mode=mode)
    torch.testing.assert_close(out.float(), dense(*args), rtol=5e-3, atol=2e-3)
    assert (logs[:, 2:] == LOWEST).all() and (sums[:, 2:] == 0).all()
    assert (logs[:, :2].abs() < 100).all()


def test_C3_3_flags_of_the_rings():
    """Two slots each, the page's lowest bit; message of a flag: 1 | mode << 4 | flag << 8."""
    ids = (expert.QK_READY, expert.QK_FREE, expert.P_READY, expert.P_FREE, expert.PV_READY, expert.PV_FREE)
    assert ids == (0, 2, 4, 6, 8, 10)
    assert [1 | 2 << 4 | flag << 8 for flag in ids] == [0x021, 0x221, 0x421, 0x621, 0x821, 0xa21]
    program = launched('reuse').program
    modes = {s.attrs.get('mode', 2) for s in instructions(program, 'set_cross_flag')}
    assert modes == {0, 2} and expert.ALL_SPLITS not in {i + s for i in ids for s in (0, 1)} and expert.ALL_SPLITS <= 15


@pytest.mark.parametrize('workspace', ['workspace_s', 'workspace_p', 'workspace_o'])
def test_C3_4_a_ring_of_one_slot_races(workspace):
    """The flags are those of two slots: with one, the next page is written while this one is read."""
    op, case = operators()[NAME], case_of('reuse')
    program = launched('reuse').program

    def shrunk(body):
        out = []
        for s in body:
            if isinstance(s, Instr) and s.op == 'copy':
                s = replace(s, args=tuple(replace(a, starts=(a.starts[0], E.const(0), *a.starts[2:])) if getattr(a, 'buffer', '') == workspace else a
                                          for a in s.args))
            out.append(map_bodies(s, shrunk))
        return tuple(out)

    _, verdict = run_program(program.with_body(shrunk(program.body)), 'a3', op.variant.make_inputs(case), 3)
    assert 'race' in {f.word for f in verdict.findings}


def races(program, case):
    """Pairs of pipes that race in a mutant."""
    verdict = run_program(program, 'a3', operators()[NAME].variant.make_inputs(case_of(case)), 3)[1]
    return {frozenset(side.pipe for side in f.sides) for f in verdict.findings if f.word == 'race'}


@pytest.mark.parametrize('wait, pipes', [('P_READY', {'MTE3', 'MTE2'}), ('PV_FREE', {'FIX', 'MTE2'})])
def test_C3_4_the_product_waits_for_probabilities_and_for_a_free_slot(wait, pipes):
    mutant = without(launched('reuse').program, 'wait_cross_flag', f'wait_cross_flag({wait}')
    assert pipes in races(mutant, 'reuse')


@pytest.mark.parametrize('source, target', [('MTE2', 'MTE1'), ('MTE1', 'M'), ('M', 'FIX')])
def test_C3_6_each_link_of_the_chain_through_the_cube_core_is_waited_for(source, target):
    program = launched('reuse').program
    cube = program.with_body((scope(program, 'C'),))
    sets, waits = ([s.args[:2] for s in instructions(cube, op)].count((source, target)) for op in ('set_flag', 'wait_flag'))
    assert sets and waits
    assert {source, target} in races(without_any(program, 'wait_flag', source, target), 'reuse')


def test_C3_10_vector_operations_that_depend_on_one_another_are_separated():
    assert {'V'} in races(without_any(launched('reuse').program, 'pipe_barrier', 'V'), 'reuse')


@pytest.mark.parametrize('core, pipe, flags', [('C', 'FIX', (0, 8)), ('V', 'MTE3', (4,))])
def test_C3_5_what_is_published_is_signalled_from_the_pipe_that_wrote_it(core, pipe, flags):
    program = launched('reuse').program
    sets = instructions(program.with_body((scope(program, core),)), 'set_cross_flag')
    sets = [s for s in sets if s.args[0].upper() == pipe and s.attrs.get('mode', 2) == 2]
    assert len(sets) == len(flags)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('sign', [-1.0, 1.0])
def test_C3_9_nothing_of_the_initial_state_counts(mode, sign):
    """Scores of a thousand, all of one sign: the state starts at the lowest number and is multiplied by 0, not by exp of a difference."""
    q, k, v, table, lengths = made([256], 2)
    q = torch.full_like(q, 8.0)
    k = sign * (k.abs() + 8.0)
    out, _, _ = tiletwin.operator(NAME)(q, k.half(), v, table, lengths, splits=2, mode=mode)
    torch.testing.assert_close(out.float(), dense(q, k.half(), v, table, lengths), rtol=5e-3, atol=2e-2)


def test_C3_11_both_vector_cores_cover_the_probabilities():
    """Without `vid` the cube reads eight rows that nobody wrote."""
    op, case = operators()[NAME], case_of('source')
    program = launched('source').program
    mutant = program.with_body(substitute(program.body, {program.launch.vid.name: E.const(0)}))
    _, verdict = run_program(mutant, 'a3', op.variant.make_inputs(case), 3)
    assert 'uninit' in {f.word for f in verdict.findings}


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('splits', [2, 3, 5])
def test_C3_13_splits_join_to_what_is_not_split(mode, splits):
    args = made([640, 77, 513], 5, seed=splits)
    out, sums, logs = tiletwin.operator(NAME)(*args, splits=splits, mode=mode, **({'cores': 4} if mode == 'expert' else {}))
    torch.testing.assert_close(out.float(), dense(*args), rtol=5e-3, atol=2e-3)
    joined = (torch.softmax(logs, 1)[..., None] * sums).sum(1)
    torch.testing.assert_close(out.float(), joined, rtol=1e-3, atol=1e-4)


def test_C3_14_a_vector_core_that_does_not_arrive_hangs_the_launch():
    """Blocks 2 to 4 have no work and still arrive; without the last one nobody goes on."""
    op, case = operators()[NAME], case_of('idle')
    program = launched('idle').program

    def late(body):
        out = []
        for s in body:
            if isinstance(s, Instr) and s.op == 'set_cross_flag' and s.attrs.get('mode', 2) == 0:
                s = If(E.Bin('<', program.launch.cid, E.const(4), 'bool'), (s,), (), s.span)
            else:
                s = map_bodies(s, late)
            out.append(s)
        return tuple(out)

    _, verdict = run_program(program.with_body(late(program.body)), 'a3', op.variant.make_inputs(case), 3)
    assert {f.word for f in verdict.findings} == {'deadlock'}


@pytest.mark.parametrize('mode', MODES)
def test_C3_16_pages_may_lie_anywhere(mode):
    q, k, v, table, lengths = made([300, 129], 3, shuffle=False)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    place = torch.argsort(order).to(torch.int32)
    call = tiletwin.operator(NAME)
    for a, b in zip(call(q, k, v, table, lengths, mode=mode), call(q, k[order], v[order], place[table.long()], lengths, mode=mode)):
        assert torch.equal(a, b)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('length', [1, 127, 129, 255])
def test_X14_nothing_behind_the_end_of_a_sequence_is_used(mode, length):
    """The rest of the last page is NaN, as a page that was never filled may be."""
    q, k, v, table, lengths = made([length], 2, shuffle=False)
    want = dense(q, k, v, table, lengths)
    for x in (k, v):
        x.flatten(0, 1)[length:] = float('nan')
    out, _, _ = tiletwin.operator(NAME)(q, k, v, table, lengths, splits=2, mode=mode)
    torch.testing.assert_close(out.float(), want, rtol=5e-3, atol=2e-3)


def test_C3_17_tolerance():
    assert operators()[NAME].variant.policy('float16').startswith('allclose 5e-3/2e-2')


def test_C3_15_scalar_and_bulk_combination_give_the_same_bits_and_the_scalar_one_takes_longer():
    op, case = operators()[NAME], case_of('scalar-combine')
    inputs = op.variant.make_inputs(case)
    (scalar, slow), (bulk, fast) = (op.launch(inputs, {**case.attributes, 'combine': form}, 'expert', 'a3') for form in ('scalar', 'bulk'))
    assert all(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in zip(scalar, bulk))
    assert slow[0].verdict.clean and fast[0].verdict.clean
    # One load of L and one store of the sum per unit, against one of each per number.
    units, numbers, splits = 4, 8 * 128, 2
    loads, stores = (sum(s.pipe == 'S' and s.core != 'AIC' and text in s.span.excerpt() for t in slow[0].streams for s in t.timeline.slices)
                     for text in ('= partialL[', 'out[b_c'))
    assert (loads, stores) == (units * splits * 8 * 2, units * numbers * 2)
    assert fast[0].cycles < slow[0].cycles


def test_C3_15_every_wait_of_and_for_the_scalar_unit_is_needed():
    waits = [m for m in deletions(program_of(NAME, 'scalar-combine'))
             if m.kind == 'wait_flag' and m.span.file == combine.__file__ and "'s'" in m.span.excerpt()]
    assert len({m.span for m in waits}) == 6
    for mutant in waits:
        assert {f.word for f in findings(mutant.program, 'a3', read_values(NAME, 'scalar-combine'))} & {'race', 'flag'}, mutant.span.excerpt()
