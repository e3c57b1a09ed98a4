"""Rules that are kept before anything runs, whatever the operator: limits of applicability, capacities, metadata."""

import pytest
import torch

from ops.contracts.flash_attn.a3_4stage import a3_4stage_reference
from tiletwin.errors import CallError
from tiletwin.harness.registry import operators
from tiletwin.machine.chip import chip

A3 = 'flash_attn.a3_4stage'


def half(*shape):
    return torch.zeros(shape, dtype=torch.float16)


@pytest.mark.parametrize('name', ['matmul.qk_batched', 'flash_attn.full', 'flash_attn.ws3', A3, 'paged_attn.split_kv',
                                  'sparse_flash_attn.vid_eliminated'])
def test_C0_3_the_limits_of_a_row_are_guards(name):
    """Every attention row names a head it is not made for; the contract refuses it."""
    assert {'head', 'head-dim', 'D'} & {b.name for b in operators()[name].variant.bad}


@pytest.mark.parametrize('q, k, attributes, says', [
    ((128, 128), (768, 128), {'s1_tile': 128}, 's1_tile is 128'), ((128, 128), (768, 128), {'s1_tile': 1024}, 's1_tile is 1024'),
    ((64, 128), (768, 128), {}, 'Sq is 64'), ((128, 64), (768, 64), {}, 'D is 64'), ((128, 256), (768, 256), {}, 'D is 256'),
])
def test_C1_3_sizes_that_are_baked_in(q, k, attributes, says):
    with pytest.raises(CallError, match=says):
        operators()[A3](half(*q), half(*k), half(*k), **attributes)


@pytest.mark.parametrize('attributes, says', [({'causal': True}, "no attribute 'causal'"), ({'is_causal': True}, "no attribute 'is_causal'")])
def test_C1_5_no_mask(attributes, says):
    with pytest.raises(CallError, match=says):
        operators()[A3](half(128, 128), half(768, 128), half(768, 128), **attributes)


@pytest.mark.parametrize('q, k', [((2, 128, 128), (768, 128)), ((2, 128, 128), (1, 768, 128)), ((1, 128), (768, 128))])
def test_C1_5_neither_groups_of_heads_nor_decoding(q, k):
    with pytest.raises(CallError):
        operators()[A3](half(*q), half(*k), half(*k))


def test_C1_15_small_shapes_against_float32_inside_a_thousandth():
    op = operators()[A3]
    case = next(c for c in op.cases if c.name == 'source-256')
    q, k, v = op.variant.make_inputs(case)
    assert op.variant.policy('float32').startswith('allclose 1e-3/1e-3')
    torch.testing.assert_close(op(q, k, v), *a3_4stage_reference(q, k, v, None), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('name, sizes', [('a2', (65536, 65536, 131072)), ('a3', (65536, 65536, 131072)), ('a5', (65536, 65536, 262144))])
def test_C4_47_capacities(name, sizes):
    memories = chip(name).memories
    assert tuple(memories[m].bytes for m in ('L0A', 'L0B', 'L0C')) == sizes
    assert memories['L1'].bytes == 524032
    # 256 KiB on a5, of which 248 are exposed to a kernel (hardware 1.3).
    assert memories['UB'].bytes == (253952 if name == 'a5' else 196352)
