"""The expert kernels keep tiles in flight: in the steady state the pipes named work at the same time."""

import pytest
import torch

import tiletwin


def half(*shape):
    return torch.zeros(shape, dtype=torch.float16)


def busy(timeline, core, pipe):
    """Intervals in which a pipe works, inside the middle 60 % of the block."""
    low, high = 0.2 * timeline.cycles, 0.8 * timeline.cycles
    spans = ((max(s.start, low), min(s.end, high)) for s in timeline.slices if (s.core, s.pipe, s.kind) == (core, pipe, 'op'))
    return sorted((a, b) for a, b in spans if a < b)


def length(spans):
    """Of the union."""
    total, end = 0.0, float('-inf')
    for a, b in spans:
        total += max(0.0, b - max(a, end))
        end = max(end, b)
    return total


def both(one, other):
    return length(one) + length(other) - length(sorted([*one, *other]))


def launch(name, *inputs, **attributes):
    op = tiletwin.operator(name)
    op(*inputs, **attributes)
    return op.last.launch


CASES = [
    # Loads of the next panel run under the products of this one.
    ('matmul.mkkn_gemm', (half(512, 1024), half(1024, 512)), {'cores': 2}, ('AIC', 'M'), ('AIC', 'MTE2'), 0.8),
    # Nothing waits for the results to leave but the next ones to leave: FIX is the busiest pipe.
    ('matmul.qk_batched', (half(1, 4, 512, 128), half(1, 4, 1024, 128)), {'cores': 2, 'arch': 'a2'}, ('AIC', 'MTE2'), ('AIC', 'FIX'), 0.9),
    ('matmul.mknk_f32', (torch.zeros(512, 512),) * 2, {'cores': 2, 'arch': 'a5'}, ('AIC', 'M'), ('AIC', 'MTE2'), 0.9),
    # The vector cores finish a tile, or prepare the next rows, while the cube core multiplies.
    ('matmul_epilogue.abs_add1', (half(1024, 512),) * 2, {'cores': 2, 'arch': 'a5'}, ('AIV0', 'V'), ('AIC', 'M'), 0.8),
    ('matmul_epilogue.abs_add1', (half(1024, 512),) * 2, {'cores': 2, 'arch': 'a5'}, ('AIV0', 'MTE3'), ('AIC', 'M'), 0.7),
    ('prologue_matmul.abs_sqrt_nd', (half(1024, 512), half(512, 512)), {'cores': 2, 'arch': 'a5'}, ('AIV0', 'V'), ('AIC', 'M'), 0.6),
    ('hif8_quant.sentinel', (torch.zeros(1, 131072),), {'cores': 2, 'arch': 'a2'}, ('AIV0', 'MTE2'), ('AIV0', 'V'), 0.9),
    ('hif8_quant.sentinel', (torch.zeros(1, 131072),), {'cores': 2, 'arch': 'a2'}, ('AIV0', 'MTE3'), ('AIV0', 'V'), 0.9),
    ('softmax', (torch.zeros(96, 4096),), {'cores': 2}, ('AIV0', 'MTE2'), ('AIV0', 'V'), 0.8),
    ('softmax.online', (torch.zeros(16, 20480),), {'cores': 2}, ('AIV0', 'MTE2'), ('AIV0', 'V'), 0.8),
    # Scores of later steps are loaded and computed while the vector cores turn this one into probabilities.
    ('flash_attn.ws3', (half(1, 1, 1024, 128),) * 3, {'cores': 2}, ('AIV0', 'V'), ('AIC', 'FIX'), 0.6),
    ('flash_attn.ws3', (half(1, 1, 1024, 128),) * 3, {'cores': 2}, ('AIC', 'M'), ('AIV0', 'V'), 0.6),
    ('flash_attn.full', (half(1, 1024, 128),) * 3, {'cores': 2, 'arch': 'a2'}, ('AIC', 'M'), ('AIC', 'MTE2'), 0.8),
    ('flash_attn.full', (half(1, 1024, 128),) * 3, {'cores': 2, 'arch': 'a2'}, ('AIV0', 'V'), ('AIC', 'FIX'), 0.8),
    ('flash_attn.full', (half(1, 1024, 128),) * 3, {'cores': 2, 'arch': 'a2'}, ('AIV0', 'MTE2'), ('AIV0', 'V'), 0.9),
    # Four tiles of rows: three of four times the keys are in L2.
    ('flash_attn.a3_4stage', (half(512, 128), *(half(4096, 128),) * 2), {'cores': 1}, ('AIC', 'M'), ('AIC', 'MTE2'), 0.6),
    ('flash_attn.a3_4stage', (half(512, 128), *(half(4096, 128),) * 2), {'cores': 1}, ('AIC', 'M'), ('AIV0', 'V'), 0.9),
    ('flash_attn.a3_4stage', (half(512, 128), *(half(4096, 128),) * 2), {'cores': 1}, ('AIV0', 'V'), ('AIC', 'FIX'), 0.6),
]


@pytest.mark.parametrize('name, inputs, attributes, first, second, share', CASES, ids=[f'{c[0]}-{"-".join(c[3])}-{"-".join(c[4])}' for c in CASES])
def test_pipes_overlap_in_the_steady_state(name, inputs, attributes, first, second, share):
    """Of the time `first` works, `second` works too for at least `share`."""
    timeline = launch(name, *inputs, **attributes).timeline
    a, b = busy(timeline, *first), busy(timeline, *second)
    assert both(a, b) >= share * length(a), f'{both(a, b) / length(a):.2f}'


def test_flags_beat_barriers():
    """C4.2: the schedule with flags is what expert mode is for."""
    a, b = half(512, 1024), half(1024, 512)
    assert launch('matmul.mkkn_gemm', a, b, schedule='mma').cycles < 0.7 * launch('matmul.mkkn_gemm', a, b, schedule='barrier').cycles


@pytest.mark.parametrize('name, shape, arch, pipe, share', [
    ('flash_attn.full', ((2, 1024, 128),) * 3, 'a2', ('AIV0', 'V'), 0.85),
    # One tile of rows: every key comes from HBM, which one core cannot read as fast as it computes.
    ('flash_attn.a3_4stage', ((128, 128), (8192, 128), (8192, 128)), 'a3', ('AIC', 'MTE2'), 0.9),
])
def test_lookahead_leaves_the_pipe_that_bounds_it_without_a_gap(name, shape, arch, pipe, share):
    timeline = launch(name, *(half(*s) for s in shape), cores=1, arch=arch).timeline
    assert length(busy(timeline, *pipe)) >= share * 0.6 * timeline.cycles


def test_vector_cores_of_flash_attention_are_kept_busy():
    timeline = launch('flash_attn.ws3', *(half(1, 2, 2048, 128),) * 3, cores=2).timeline
    assert length(busy(timeline, 'AIV0', 'V')) >= 0.8 * 0.6 * timeline.cycles
