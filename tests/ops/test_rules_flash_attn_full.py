"""Rules C0 and CH of flash_attn.full."""

import pytest
import torch
from .kernel_checks import case_launch, compiled, launch, order, run_program

from ops.contracts.flash_attn.full import full_reference
from ops.expert.flash_attn import flash_attn_a5_serial, flash_attn_full
from tiletwin import observe
from tiletwin.errors import TileTwinError
from tiletwin.harness.claims.timelines import product_sources
from tiletwin.harness.registry import operators
from tiletwin.machine.chip import chip
from tiletwin.passes.pipeline import check_paths


def random(*shape, seed=0, scale=1.0):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale).half()


@pytest.fixture(scope='module')
def reuse():
    return case_launch('flash_attn.full', 'reuse', 'a2')


def inputs(s1=128, s2=512):
    return random(1, s1, 128, seed=1), random(1, s2, 128, seed=2), random(1, s2, 128, seed=3)


def test_C0_14_on_chip_bridges_are_refused_on_a2():
    program = compiled(flash_attn_a5_serial, 1, 1, 64, 64, 0.125, 64, 64, cores=1, chip='a5').program
    check_paths(program, chip('a5'))
    with pytest.raises(TileTwinError, match='L0C'):
        check_paths(program, chip('a2'))


def test_C0_23_the_pipes_show_warm_up_and_drain(reuse):
    vector = order(reuse.timeline, 'AIV0', 'V', 'reduce', 'div', 'row_expand_div_experiment')
    last_scores = max(s.start for s in vector if s.op == 'reduce')
    assert order(reuse.timeline, 'AIC', 'M', 'mma')[-1].start > last_scores


@pytest.mark.parametrize('lag', [1, 2, 3])
def test_C0_23_scores_are_issued_before_the_delayed_product_and_both_stages_count_for_themselves(lag):
    """Eight tiles: in every turn the product of scores j starts before that of values j - lag, and `lag` turns are left at the end."""
    kernel = compiled(flash_attn_full, 1, 128, 1024, 128, 0.09, lag=lag, cores=1, ring=lag + 1, chip='a2')
    kernel(*inputs(128, 1024))
    program, timeline = kernel.last.program, kernel.last.timeline
    of = {line: tile for line, tile in product_sources(program).items() if tile in ('k_l1', 'v_l1')}
    runs = [of[s.span] for s in order(timeline, 'AIC', 'M', 'mma')]
    scores, values = ([i for i, tile in enumerate(runs) if tile == name] for name in ('k_l1', 'v_l1'))
    each = len(scores) // 8, len(values) // 8
    assert len(scores) == 8 * each[0] and len(values) == 8 * each[1] and min(each) > 0
    for j in range(lag, 8):
        assert scores[j * each[0]] < values[(j - lag) * each[1]]
    assert runs[-lag * each[1]:] == ['v_l1'] * (lag * each[1])


@pytest.mark.parametrize('ring', [3, 2])
def test_C0_24_a_ring_smaller_than_the_lag_is_caught(ring):
    """CH.6: slots > lookahead. Factors and tiles of the delayed consumer are overwritten: a race in GM and a wrong result."""
    kernel = compiled(flash_attn_full, 1, 128, 1024, 128, 0.09, lag=3, cores=1, ring=ring, chip='a2')
    (out,), verdict = run_program(kernel.program, 'a2', inputs(128, 1024), 1)
    assert {f.word for f in verdict.findings} >= {'race'}


def test_C0_24_one_slot_more_than_the_lag_suffices():
    for lag in (1, 2, 3):
        kernel = compiled(flash_attn_full, 1, 128, 1024, 128, 0.09, lag=lag, cores=1, ring=lag + 1, chip='a2')
        (out,), verdict = run_program(kernel.program, 'a2', inputs(128, 1024), 1)
        assert verdict.clean
        torch.testing.assert_close(out, *full_reference(*inputs(128, 1024), 0.09), rtol=1e-3, atol=1e-3)


def test_C0_24_delayed_factors_belong_to_their_step():
    """Every tile raises the maximum, so that every factor differs and counts."""
    q, k, v = inputs(128, 768)
    k = (k.float() * torch.arange(1, 7).repeat_interleave(128)[None, :, None] * 0.3).half()
    op = operators()['flash_attn.full']
    torch.testing.assert_close(op(q, k, v, arch='a2', cores=1), *full_reference(q, k, v, None), rtol=1e-3, atol=1e-3)


def test_C0_25_the_value_path_alone_is_rounded():
    """With ones for V the result is the sum of the halves over the sum of the floats: never exactly 1 where halves are used for both."""
    q, k, _ = inputs(128, 512)
    v = torch.ones(1, 512, 128).half()
    out = operators()['flash_attn.full'](q, k, v, arch='a2', cores=1)
    (expected,) = full_reference(q, k, v, None)
    assert (expected - 1).abs().max() > 3e-5
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=0)


def test_C0_26_scores_below_zero_have_a_maximum_of_their_own():
    q = torch.full((1, 128, 128), 2.0).half()
    k = -(inputs(128, 256)[1].abs() + 1)[:, :256]
    v = inputs(128, 256)[2]
    out = operators()['flash_attn.full'](q, k, v, arch='a2', cores=1)
    torch.testing.assert_close(out, *full_reference(q, k, v, None), rtol=1e-3, atol=1e-3)


def test_CH_4_each_tile_of_lookahead_pays():
    q = torch.zeros(1, 1024, 128).half()

    def cycles(lag):
        seen = []
        with observe(seen.append):
            compiled(flash_attn_full, 1, 1024, 1024, 128, 0.1, lag=lag, cores=2, chip='a2')(q, q, q)
        return seen[0].cycles

    assert cycles(1) > cycles(2) > launch('flash_attn.full', q, q, q, arch='a2', cores=2).cycles
