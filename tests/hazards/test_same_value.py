"""Cores that store the same bytes over each other: harmless on the chip, still worth a look; different values are a race."""

import pytest
import torch

from tiletwin.backends.simulator import simulate
from tiletwin.ir import expr as E
from tiletwin.passes.pipeline import lower
from tiletwin.sim.options import Options

from .kernels import CID, VID, Kernel, at


@pytest.mark.parametrize('blocks', [1, 3])
@pytest.mark.parametrize('added,level', [(None, 'review'), ('vid', 'error'), ('cid', 'error')])
def test_overlapping_writes_are_reviewed_when_equal_and_errors_when_not(added, level, blocks):
    k = Kernel(blocks)
    A, C, u = k.alloc('A', 'GM', (16, 64)), k.alloc('C', 'GM', (16, 64)), k.alloc('u', 'UB')
    scalar = {'vid': VID, 'cid': CID}.get(added)
    change = [k.instr('adds', u, u, E.Cast(scalar, 'float16')), k.barrier()] if added else []
    if added == 'cid' and blocks == 1:
        level = 'review'
    program = lower(k.program(vector=[k.copy(A, u), k.barrier(), *change, k.copy(u, C)]))
    tensors = {'A': torch.randn(16, 64, generator=torch.Generator().manual_seed(0)).half(), 'C': torch.empty(16, 64, dtype=torch.float16)}
    launch = simulate(program, tensors, {}, Options(), frozenset({'C'}))
    assert launch.verdict.level == level and {f.word for f in launch.verdict.findings} == {'race'}
    if level == 'review':
        assert torch.equal(tensors['C'], tensors['A'])


def test_equal_writes_are_told_apart_where_data_steers_the_addresses():
    k = Kernel(2)
    I, C, u = k.alloc('I', 'GM', (8,), 'int32'), k.alloc('C', 'GM', (16, 64)), k.alloc('u', 'UB')
    row = E.Load('I', (E.Const(0),), 'int32')
    program = lower(k.program(vector=[k.instr('fill', u, 1.0), k.barrier(), k.copy(u, at(C, (row, 0), (16, 64)))]))
    tensors = {'I': torch.zeros(8, dtype=torch.int32), 'C': torch.empty(16, 64, dtype=torch.float16)}
    launch = simulate(program, tensors, {}, Options(), frozenset({'C'}))
    assert launch.verdict.level == 'review' and tensors['C'].eq(1).all()
