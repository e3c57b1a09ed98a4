"""The first part of a launch that touches GM very often stands for the whole."""

import dataclasses

import numpy as np
import pytest

from bench.fidelity.attention_block128 import attention_block128
from tiletwin.backends.analysis import Analyser
from tiletwin.backends.shapes import bind_shapes
from tiletwin.machine.chip import chip
from tiletwin.machine.l2 import hit_shares
from tiletwin.passes.hoist_loads import hoist_loads
from tiletwin.sim.touches import touches

# B, heads, K and V heads, queries, keys, cores; K and V are 1 MB each, the queues 1.5 MB.
KERNEL = (1, 16, 1, 512, 4096, 4)


@pytest.fixture(scope='module')
def launch():
    *sizes, cores = KERNEL
    kernel = attention_block128(*sizes, depth=4, every=1, cores=cores)
    bound = bind_shapes(kernel.convention, (), {})
    found = Analyser(hoist_loads(kernel.program), chip('a3'), kernel.target, bound.scalars, False)
    return found, found.traffic(found.issuer.groups(found.blocks, None), bound.poisoned)


def shares(launch, l2_bytes, **most):
    a, tensors = launch
    sites, which, at, part = touches(a.program, a.geometry, a.scalars, a.blocks, a.chip.cube_cores, **most)
    index = {t.name: i for i, t in enumerate(tensors)}
    tensor, size, read = (np.array(c)[which] for c in ([index[n] for n, _, _ in sites], [b for _, b, _ in sites], [r for _, _, r in sites]))
    small = dataclasses.replace(a.chip, constants={**a.chip.constants, 'gm.l2_bytes': l2_bytes})
    return hit_shares(small, tensors, tensor, at, size, read, part), part, len(which)


@pytest.mark.parametrize('l2_bytes', [2 << 20, 3 << 20, 6 << 20])
def test_a_part_finds_the_shares_of_the_whole(launch, l2_bytes):
    whole, cut, n = shares(launch, l2_bytes)
    assert not cut
    found, cut, few = shares(launch, l2_bytes, most=n // 2)
    assert cut and n // 2 <= few <= n // 2 + 12 and found == pytest.approx(whole, abs=0.03)


def test_small_launches_are_looked_at_as_a_whole(launch):
    assert shares(launch, 3 << 20, most=10**6) == shares(launch, 3 << 20)
