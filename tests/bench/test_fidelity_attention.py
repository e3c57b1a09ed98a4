"""The attention kernels of bench/fidelity: right and free of hazards, chosen by what a row says, and as fast relative to one another as published."""

from dataclasses import replace

import pytest
import torch

from bench.fidelity import attention, evaluate
from bench.fidelity.attention_block128 import STEPS, attention_block128
from bench.fidelity.registry import Modelled, Skip
from bench.fidelity.rows import Row, read

ROWS = read()
SMALL = {  # B, heads, K and V heads, queries, keys, cores
    'one-pair': (1, 1, 1, 128, 256, 1),
    'fewer-tiles-than-ahead': (1, 2, 1, 128, 512, 2),
    'rings-come-round': (1, 1, 1, 128, 2304, 1),
    'shared-heads-uneven-cores': (2, 4, 2, 128, 512, 3),
}


def row(shape, kernel='flash attention, 1 head, D128', impl='PTO DSL', cat='fa_fwd', hw='A3', cores='24', us=1.0, note=''):
    return Row('x', cat, hw, cores, impl, kernel, shape, 'fp16', us, (), note, '')


@pytest.mark.parametrize('step', STEPS)
@pytest.mark.parametrize('case', SMALL)
def test_every_step_computes_attention_without_a_finding(step, case):
    B, H, KV, Sq, Sk, cores = SMALL[case]
    made = torch.Generator().manual_seed(7)
    q, k, v = (torch.randn(shape, generator=made).half() for shape in ((B, H, Sq, 128), (B, KV, Sk, 128), (B, KV, Sk, 128)))
    kernel = attention_block128(B, H, KV, Sq, Sk, *STEPS[step], cores=cores)
    out = kernel(q, k, v)
    each = [t.double().repeat_interleave(H // KV, 1) for t in (k, v)]
    want = torch.softmax(q.double() @ each[0].transpose(-1, -2) / 128 ** 0.5, -1) @ each[1]
    torch.testing.assert_close(out.double(), want, rtol=1e-3, atol=1e-3)
    assert kernel.last.verdict.findings == ()


@pytest.mark.parametrize('shape, kernel, impl, want', [
    ('S0=S1=4096', 'flash attention, 1 head, D128, non-causal', 'PTO manual', (1, 1, 1, 128, 4096, 4096)),
    ('S0=1024 S1=8192', 'flash attention, 4 heads, D128', 'PTO DSL', (1, 4, 4, 128, 1024, 8192)),
    ('B2 H16 KV4 D128 S=512', 'fa_opt/flash_attn_bhsd_expert_h32_d128.py', 'TileLang-Ascend', (2, 16, 4, 128, 512, 512)),
    ('B1 H12 D64 S=512', 'CANN flash attention', 'AscendC', (1, 12, 12, 64, 512, 512)),
])
def test_a_row_states_its_shape_in_words(shape, kernel, impl, want):
    found = attention.shape(row(shape, kernel, impl))
    assert (found.batch, found.heads, found.kv_heads, found.head, found.queries, found.keys) == want


@pytest.mark.parametrize('given, says', [
    (row('S0=S1=4096', 'flash attention, 1 head, D64'), 'head other than 128'),
    (row('S0=S1=4096', 'flash attention, 1 head, D128, causal'), 'without a mask'),
    (row('S0=S1=1000'), 'whole tiles'),
    (row('S0=S1=512'), 'whole tiles'),
    (row('B1 H3 KV2 D128 S=512', 'fa_opt/expert.py', 'TileLang-Ascend'), 'whole tiles'),
    (row('B1 H2 KV2 D128 S=512', 'fa_opt/developer.py', 'TileLang-Ascend'), 'not described'),
    (row('long', 'flash attention'), 'says how it is tiled'),
])
def test_a_row_without_a_known_schedule_says_why(given, says):
    found = attention.forward(given)
    assert isinstance(found, Skip) and says in found.reason


def test_the_kernel_follows_from_what_the_row_says():
    pto, tile = (attention.forward(row(*text)) for text in (('S0=S1=1024',), ('B1 H2 KV1 D128 S=512', 'fa_opt/expert.py', 'TileLang-Ascend')))
    assert isinstance(pto, Modelled) and isinstance(tile, Modelled) and pto.kind == tile.kind == 'scored'
    shapes = [[p.shape for p in evaluate.kernels(row(''), found)[0].params[:2]] for found in (pto, tile)]
    assert shapes == [[(1024, 128), (1024, 128)], [(1, 2, 512, 128), (1, 1, 512, 128)]]


def test_the_ladder_climbs_as_published():
    """Twelve heads of 2048 keys: the relative speeds of 4096 and 32768 keys are within a few percent of these."""
    small = [replace(r, shape='B1 H12 KV1 D128 S=2048') for r in ROWS if r.cat == 'fa_ladder']
    steps = attention.ladder(small, lambda r: evaluate.time(r, attention.ladder_step(r)).us)
    assert [name for name, _, _ in steps] == ['resident', 'pipelined', 'axpy']
    modelled = [speed for _, _, speed in steps]
    assert modelled[0] < modelled[1] < modelled[2] == 1.0
    published = steps[0][1]
    assert abs(published / modelled[0] - 1) <= 0.25


SHORT = [r for r in ROWS if r.cat == 'fa_fwd' and r.impl.startswith('PTO') and attention.shape(r).keys <= 8192]


@pytest.mark.parametrize('given', SHORT, ids=lambda r: f'{r.hw} {r.shape}')
def test_short_rows_are_within_a_fifth(given):
    found = attention.forward(given)
    assert abs(evaluate.time(given, found).us / given.us - 1) <= 0.2


@pytest.mark.parametrize('text, short', [('S0=S1=131072', 'S0=S1=4096'), ('B1 H12 KV1 D128 S=32768', 'B1 H12 KV1 D128 S=4096'), ('S0=S1=2048', None)])
def test_slopes_of_a_long_row_are_those_of_a_shorter_one(text, short):
    given = row(text, 'CANN flash attention, D128', 'AscendC')
    like = attention.forward(given).like
    assert (like and like.shape) == short and (short is None or attention.forward(like).like is None)
