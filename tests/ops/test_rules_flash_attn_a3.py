"""Rules C1 of flash_attn.a3_4stage: lookahead, rings, queues, UB."""

import sys

import pytest
import torch

from ops.contracts.flash_attn.a3_4stage import a3_4stage_reference, operations, pick_s1_tile, queue_bytes, ub_bytes
from ops.expert.flash_attn import flash_attn_a3_4stage
from tiletwin import compile as compile_kernel
from tiletwin.errors import CallError, TileTwinError
from tiletwin.harness.registry import operators
from tiletwin.harness.vec_barriers import remove
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Instr, Let, bodies, map_bodies, walk

from .kernel_checks import case_launch, compiled, instructions, loops, order, run_program, scope, without

KIB = 1024


def kernel(sq=128, sk=1280, s1_tile=256, preload=3, ring=None, row_slice=True, cores=1):
    return compiled(flash_attn_a3_4stage, sq, sk, 0.0884, s1_tile, preload, ring or preload, row_slice, cores, chip='a3')


def tensors(sq=128, sk=1280):
    """Scores that grow from tile to tile, so that every tile rescales the sum before it."""
    q, k, v = (torch.randn(n, 128, generator=torch.Generator().manual_seed(i)) for i, n in enumerate((sq, sk, sk)))
    return q.half(), (k * torch.linspace(0.5, 2.5, sk)[:, None]).half(), v.half()


def wrong_or_reported(program, sq=128, sk=1280):
    inputs = tensors(sq, sk)
    (out,), verdict = run_program(program, 'a3', inputs, 1)
    (right,) = a3_4stage_reference(*inputs, 0.0884)
    return not torch.allclose(out, right, rtol=1e-3, atol=1e-3) or not verdict.clean


def item_loop(program, core):
    return next(s for s in loops(scope(program, core)) if any(isinstance(x, Instr) and x.op == 'wait_cross_flag' for x in walk(s.body)))


def is_wait(s, name):
    return isinstance(s, Instr) and s.op == 'wait_cross_flag' and E.int_value(s.args[0]) == {'QK_READY': 0, 'P_READY': 1, 'PV_READY': 2}[name]


def produce_first(program):
    """The steady loop of the vector cores with p(t + n) in front of gu(t)."""
    steady = loops(item_loop(program, 'V'))[1]
    at = next(i for i, s in enumerate(steady.body) if is_wait(s, 'QK_READY'))
    # The names a stage binds stand in front of its first wait.
    while isinstance(steady.body[at - 1], Let):
        at -= 1
    swapped = steady.body[at:] + steady.body[:at]

    def edit(body):
        return tuple(map_bodies(s, (lambda _: swapped) if s is steady else edit) if bodies(s) else s for s in body)

    return program.with_body(edit(program.body))


@pytest.mark.parametrize('sizes', [(3, 2), (3, 4), (4, 3), (4, 5)])
def test_C1_1_ring_and_lookahead_are_one_number(sizes):
    q, k, v = tensors()
    with pytest.raises(ValueError, match=f'exp_ring is {sizes[1]} and qk_preload is {sizes[0]}'):
        operators()['flash_attn.a3_4stage'](q, k, v, qk_preload=sizes[0], exp_ring=sizes[1])


@pytest.mark.parametrize('sk, attributes, says', [
    (512, {}, 'Sk is 512'), (768 + 128, {}, 'Sk is 896'), (1024, {'s1_tile': 512}, 'Sk is 1024'), (768, {'qk_preload': 4}, 'Sk is 768'),
])
def test_C1_2_too_few_keys_are_refused(sk, attributes, says):
    with pytest.raises(CallError, match=says):
        operators()['flash_attn.a3_4stage'](*tensors(128, sk), **attributes)


@pytest.mark.parametrize('sk, attributes', [(768, {}), (1536, {'s1_tile': 512}), (1024, {'qk_preload': 4})])
def test_C1_2_C1_13_as_few_keys_as_the_prologue_takes_run(sk, attributes):
    """No steady tile at all: prologue and epilogue only, and the first gu rescales nothing."""
    q, k, v = tensors(128, sk)
    op = operators()['flash_attn.a3_4stage']
    torch.testing.assert_close(op(q, k, v, scale=0.0884, cores=1, **attributes), *a3_4stage_reference(q, k, v, 0.0884), rtol=1e-3, atol=1e-3)
    assert op.last.verdict.clean


@pytest.mark.parametrize('sk, tile', [(768, 256), (8192, 256), (16384 - 512, 256), (16384, 512), (131072, 512)])
def test_C1_4_tile_by_length(sk, tile):
    assert pick_s1_tile(sk) == tile


def test_C1_4_threshold_and_override():
    assert pick_s1_tile(16384, threshold=32768) == 256
    assert case_launch('flash_attn.a3_4stage', 'source-512', 'a3').program.buffers['workspace_qk'].dims[-1] == 512


@pytest.mark.parametrize('s1_tile, ring, sliced, kib', [
    (256, 3, True, 177.75), (256, 4, True, 178.0), (512, 3, True, 177.75), (512, 4, True, 178.0), (256, 3, False, 289.75), (512, 3, False, 513.75),
])
def test_C1_6_UB_formula(s1_tile, ring, sliced, kib):
    assert ub_bytes(s1_tile, ring, sliced) == kib * KIB


@pytest.mark.parametrize('s1_tile, ring', [(256, 3), (256, 4), (512, 3), (512, 4)])
def test_C1_6_the_allocator_reports_the_formula(s1_tile, ring):
    program = kernel(sk=s1_tile * 4, s1_tile=s1_tile, preload=ring).program
    assert max(b.address + b.bytes for b in program.on_chip('UB')) == ub_bytes(s1_tile, ring) <= 196352
    tile = program.buffers['s_ub']
    assert tile.bytes == 32 * KIB and tile.dims == (128 // 2 * 128 // s1_tile, s1_tile)


@pytest.mark.parametrize('s1_tile', [256, 512])
def test_C1_6_whole_rows_do_not_fit(s1_tile):
    with pytest.raises(TileTwinError, match='UB'):
        kernel(sk=s1_tile * 4, s1_tile=s1_tile, row_slice=False)


@pytest.fixture(scope='module')
def reuse():
    return case_launch('flash_attn.a3_4stage', 'reuse', 'a3')


def test_C1_7_no_probability_is_read_before_the_prologue_is_through(reuse):
    stores = order(reuse.timeline, 'AIC', 'FIX')
    first_use = next(s for s in order(reuse.timeline, 'AIC', 'MTE1') if 'p_l1' in s.span.excerpt())
    assert sum(s.end <= first_use.start for s in stores) >= 5


def test_C1_8_the_product_with_V_leaves_once_per_tile(reuse):
    by_line = [s.span.excerpt() for s in order(reuse.timeline, 'AIC', 'FIX')]
    assert sum('s_l0' in line for line in by_line) == 22 and sum('o_l0' in line for line in by_line) == 11


def test_C1_9_produce_first_overwrites_the_factors_it_still_needs():
    program = kernel().program
    assert not wrong_or_reported(program)
    assert wrong_or_reported(produce_first(program))


def test_C1_9_produce_first_needs_one_slot_more():
    assert not wrong_or_reported(produce_first(kernel(ring=4).program))


@pytest.mark.parametrize('preload', [3, 4])
def test_C1_10_a_ring_smaller_by_one_fails_in_both_orders_and_a_larger_one_is_safe(preload):
    small = kernel(sk=256 * 6, preload=preload, ring=preload - 1).program
    assert wrong_or_reported(small, sk=256 * 6)
    assert wrong_or_reported(produce_first(small), sk=256 * 6)
    assert not wrong_or_reported(kernel(sk=256 * 6, preload=preload, ring=preload + 1).program, sk=256 * 6)


@pytest.mark.parametrize('s1_tile, total, offsets', [(256, 2, (0, 262144, 393216)), (512, 3.5, (0, 524288, 655360))])
def test_C1_11_queues_in_GM(s1_tile, total, offsets):
    sizes = queue_bytes(s1_tile)
    assert sum(sizes) == total * KIB * KIB
    assert tuple(sum(sizes[:i]) // 4 for i in range(3)) == offsets
    program = kernel(sk=s1_tile * 4, s1_tile=s1_tile, cores=2).program
    assert tuple(b.bytes // 2 for b in program.tensors[4:]) == sizes
    assert [b.name for b in program.tensors[4:]] == ['workspace_qk', 'workspace_pv', 'workspace_p']


@pytest.mark.parametrize('slots, right', [(8, True), (3, True), (2, False)])
def test_C1_11_a_queue_shorter_than_the_lookahead_is_overwritten(monkeypatch, slots, right):
    monkeypatch.setattr(sys.modules[flash_attn_a3_4stage.func.__module__], 'FIFO', slots)
    program = compiled(flash_attn_a3_4stage.func, 128, 1536, 0.0884, 256, 3, 3, True, 1, chip='a3')
    lowered = compile_kernel(program, out_idx=[3], workspace_idx=[4, 5, 6], platform='A3').program
    _, verdict = run_program(lowered, 'a3', tensors(128, 1536), 1)
    assert verdict.clean == right
    if not right:
        assert {f.word for f in verdict.findings} == {'race'}


@pytest.mark.parametrize('scale', [0.01, 1.0])
def test_C1_12_any_positive_scale(scale):
    q, k, v = tensors(128, 768)
    k = (k.float() * 0.3).half()
    out = operators()['flash_attn.a3_4stage'](q, k, v, scale=scale, cores=1)
    torch.testing.assert_close(out, *a3_4stage_reference(q, k, v, scale), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('pattern, removed, skipped', [('gu', 1, 0), ('softmax-exp-sum', 0, 1)])
def test_C1_14_barriers_removed_and_kept(pattern, removed, skipped):
    """The exponents are summed up right after they are written: that barrier stays. The one of gu goes, vouched for."""
    found = remove(kernel().program, (pattern,))
    assert (len(found.removed), len(found.skipped)) == (removed, skipped)
    assert len(instructions(found.program, 'pipe_barrier')) == len(instructions(kernel().program, 'pipe_barrier')) - _expansions(found)


def _expansions(found):
    """A macro expanded in two loops leaves two barriers of one line."""
    lines = {b.span for b in found.removed}
    return sum(s.span in lines for s in instructions(kernel().program, 'pipe_barrier'))


def test_C1_14_what_races_without_the_gu_barrier_is_waived_by_name_and_nothing_else():
    found = remove(kernel().program)
    inputs = tensors()
    (out,), verdict = run_program(found.program, 'a3', inputs, 1)
    races = [f for f in verdict.findings if found.waives(f)]
    assert races and len(races) == len(verdict.findings)
    assert all('o_ub' in side.region for f in races for side in f.sides)
    torch.testing.assert_close(out, *a3_4stage_reference(*inputs, 0.0884), rtol=1e-3, atol=1e-3)
    _, other = run_program(without(kernel().program, 'wait_cross_flag', 'PV_READY'), 'a3', inputs, 1)
    assert not any(found.waives(f) for f in other.findings)


def test_C1_16_operations():
    assert operations(131072, 131072) / 48380.71e-6 / 1e12 == pytest.approx(183.9, abs=0.05)
    assert operations(1, 1) == 4 * 128 + 4


def test_C1_19_larger_tiles_cost_GM():
    assert sum(queue_bytes(512)) > sum(queue_bytes(256))
    assert ub_bytes(512, 3) == ub_bytes(256, 3)


@pytest.mark.parametrize('chip', ['a2', 'a5'])
def test_C1_20_only_a3(chip):
    with pytest.raises(TileTwinError, match=f'is not written for {chip}'):
        operators()['flash_attn.a3_4stage'](*tensors(), arch=chip)


def test_C1_14_a_waiver_covers_its_own_race_is_counted_and_covers_nothing_else():
    op = operators()['flash_attn.a3_4stage']
    case = next(c for c in op.cases if c.name == 'without-gu-barrier')
    ran = op.run_case(case, 'expert', 'a3')
    assert ran.ok and not ran.clean and not ran.unaccepted
    (waiver,) = op.variant.waivers
    assert {f.word for f in ran.launches[0].verdict.findings} == {'race'} and waiver.reason
    _, other = run_program(without(ran.launches[0].program, 'wait_cross_flag', 'PV_READY'), 'a3', op.variant.make_inputs(case), 1)
    assert any(not op.variant.accepts(f) for f in other.findings)
