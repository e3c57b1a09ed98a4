"""The critical path of blocks small enough to follow by hand, and its sum on real ones."""

import pytest
import torch

import tiletwin
from tiletwin.harness.critical import BETWEEN, critical_path
from tiletwin.sim.result import Arrow, Slice, Timeline


def op(core, pipe, start, end, kind='op'):
    return Slice(core, pipe, start, end, 'x', None, '', kind)


def path(slices, arrows=(), cycles=None):
    return critical_path(Timeline(slices, [Arrow(a, b, '') for a, b in arrows], cycles or max(s.end for s in slices)))


def test_one_pipe_waits_for_itself():
    assert path([op('AIC', 'MTE2', 0, 10), op('AIC', 'MTE2', 10, 30)]) == {'AIC MTE2': 30}


def test_a_flag_leads_to_the_pipe_that_set_it():
    slices = [op('AIV0', 'MTE2', 0, 100), op('AIV0', 'V', 0, 5), op('AIV0', 'V', 110, 150)]
    assert path(slices, [(0, 2)]) == {'AIV MTE2': 100, 'AIV V': 40, BETWEEN: 10}


def test_the_later_of_two_causes_decides():
    """V is ready at 40, its flag comes at 90."""
    slices = [op('AIV0', 'V', 0, 40), op('AIV0', 'MTE2', 0, 90), op('AIV0', 'V', 90, 100)]
    assert path(slices, [(1, 2)]) == {'AIV MTE2': 90, 'AIV V': 10}
    slices[1] = op('AIV0', 'MTE2', 0, 30)
    assert path(slices, [(1, 2)]) == {'AIV V': 50, BETWEEN: 50}


def test_work_under_the_path_does_not_count():
    slices = [op('AIC', 'MTE2', 0, 50), op('AIC', 'M', 50, 60), op('AIC', 'MTE2', 50, 100), op('AIC', 'M', 100, 110)]
    assert path(slices, [(0, 1), (2, 3)]) == {'AIC MTE2': 100, 'AIC M': 10}


def test_a_barrier_of_all_pipes_leads_to_the_last_of_them():
    slices = [op('AIC', 'MTE2', 0, 70), op('AIC', 'M', 0, 20), op('AIC', 'S', 2, 75, 'barrier'), op('AIC', 'M', 76, 80)]
    assert path(slices) == {'AIC MTE2': 70, 'AIC M': 4, BETWEEN: 6}


def test_the_path_crosses_from_core_to_core():
    slices = [op('AIC', 'M', 0, 30), op('AIC', 'FIX', 30, 50), op('AIV0', 'S', 0, 60, 'wait'), op('AIV0', 'MTE2', 62, 90), op('AIV1', 'V', 0, 3)]
    assert path(slices, [(0, 1), (1, 2)]) == {'AIC M': 30, 'AIV MTE2': 28, 'AIC FIX': 20, BETWEEN: 12}


def test_a_stalled_pipe_that_sets_a_flag_leads_to_what_it_stalled_on():
    """V ends at 10, stalls on MTE2 until 80, then tells MTE3."""
    slices = [op('AIV0', 'V', 0, 10), op('AIV0', 'MTE2', 0, 80), op('AIV0', 'V', 10, 80, 'wait'), op('AIV0', 'MTE3', 80, 95), op('AIV0', 'V', 80, 82)]
    assert path(slices, [(2, 3), (1, 4)]) == {'AIV MTE2': 80, 'AIV MTE3': 15}


def test_a_stall_without_an_arrow_leads_to_the_pipe_its_flag_names():
    """M works to 50 and sets a flag FIX waits for; FIX waits again, and only that wait has an arrow."""
    stall = Slice('AIC', 'FIX', 0, 50, 'wait_flag', None, '', 'wait', flag='M->FIX 0')
    slices = [op('AIC', 'MTE2', 0, 49), op('AIC', 'M', 10, 50), stall, op('AIC', 'M', 50, 60), op('AIC', 'FIX', 60, 70)]
    assert path(slices, [(2, 3), (3, 4)]) == {'AIC M': 50, 'AIC FIX': 10, BETWEEN: 10}


def test_the_order_in_which_cores_were_simulated_does_not_matter():
    slices = [op('AIV0', 'V', 60, 80), op('AIC', 'M', 0, 30), op('AIC', 'FIX', 30, 60)]
    assert path(slices, [(1, 2), (2, 0)]) == {'AIC M': 30, 'AIC FIX': 30, 'AIV V': 20}


def test_an_empty_block_is_all_overhead():
    assert path([], cycles=7.0) == {BETWEEN: 7.0}


@pytest.mark.parametrize('name, inputs, attributes', [
    ('matmul.mkkn_gemm', (torch.zeros(256, 256).half(), torch.zeros(256, 256).half()), {'cores': 1}),
    ('matmul.mkkn_gemm', (torch.zeros(256, 256).half(), torch.zeros(256, 256).half()), {'schedule': 'barrier'}),
    ('softmax', (torch.zeros(40, 512),), {'cores': 1}),
    ('flash_attn.ws3', (torch.zeros(1, 1, 256, 128).half(),) * 3, {'cores': 1}),
], ids=['mma', 'barrier', 'softmax', 'ws3'])
def test_the_parts_add_up_and_none_exceeds_what_its_pipe_did(name, inputs, attributes):
    op_ = tiletwin.operator(name)
    op_(*inputs, **attributes)
    timeline = op_.last.launch.timeline
    found = critical_path(timeline)
    assert sum(found.values()) == pytest.approx(timeline.cycles)
    assert found.get(BETWEEN, 0.0) < 0.35 * timeline.cycles
    for pipe, cycles in found.items():
        if pipe != BETWEEN and not pipe.endswith(' S'):
            assert cycles <= sum(busy for (core, p), busy in timeline.busy.items() if f'{core.rstrip("01")} {p}' == pipe) + 1e-6


@pytest.mark.parametrize('name', ['softmax', 'flash_attn.ws3'])
def test_every_arrow_starts_where_its_flag_was_set(name):
    """A flag is set by the pipe it names, after the slice the arrow starts at."""
    op_ = tiletwin.operator(name)
    inputs = {'softmax': (torch.zeros(40, 512),), 'flash_attn.ws3': (torch.zeros(1, 1, 256, 128).half(),) * 3}[name]
    op_(*inputs, cores=1)
    timeline = op_.last.launch.timeline
    assert timeline.arrows
    for a in timeline.arrows:
        source, target = timeline.slices[a.source], timeline.slices[a.target]
        assert source.end <= (target.start if target.kind == 'op' else target.end)
        if not a.name.startswith('cross'):
            assert source.pipe == a.name.split('->')[0] and source.core == target.core
