"""Profile `sound` over both cores: whatever the kernel, the outputs are what the source means and the sanitizer finds nothing."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiletwin.ir.nodes import Instr, map_bodies, walk
from tiletwin.passes.pipeline import lower

from .random_blocks import PARAMS, source
from .run_sound import ALL, launch
from .small import build

TRIPS = ((0, 2), (1, 0), (3, 4))
OUTPUTS = ('C', 'D')


def findings(result):
    return [(f.tool, f.message) for f in result.verdict.findings]


@given(st.integers(0, 10**9), st.sampled_from((1, 2)), st.sampled_from(('a3', 'a5')))
def test_outputs_are_those_of_a_sequential_interpretation_and_nothing_is_found(seed, threads, on):
    program = build(source(random.Random(seed)), PARAMS, threads=threads)
    lowered = lower(program, ALL, profile='sound', chip=on)
    for n, m in TRIPS:
        result, got, meant = launch(program, {'n': n, 'm': m}, OUTPUTS, on=on, lowered=lowered)
        assert findings(result) == []
        assert all(torch.equal(got[k], meant[k]) for k in OUTPUTS), (n, m)


PIPELINED = '''
a = T.alloc_L1((32, 32), "float16")
b = T.alloc_L1((32, 32), "float16")
s = T.alloc_L0C((32, 32), "float32")
u = T.alloc_ub((32, 32), "float32")
T.copy(A[0, 0], b)
for k in T.Pipelined(n, num_stages={stages}{interval}):
    T.copy(A[(k % 4) * 32, 0], a)
    T.gemm_v0(a, b, s, init=True)
    T.copy(s, u)
    T.tile.abs(u, u)
    T.copy(u, C[((k + m) % 4) * 32, 0])
'''


@pytest.mark.parametrize('interval', ['', ', cross_interval=2'])
@pytest.mark.parametrize('stages', [0, 2, 3])
def test_a_loop_over_both_cores_means_the_same_however_it_is_pipelined(stages, interval):
    program = build(PIPELINED.format(stages=stages, interval=interval), PARAMS, threads=2)
    lowered = lower(program, ALL, profile='sound')
    for trips in (0, 1, 2, 3, 4, 7):
        result, got, meant = launch(program, {'n': trips, 'm': 0}, OUTPUTS, lowered=lowered)
        assert findings(result) == [] and torch.equal(got['C'], meant['C']), trips


def without(body, op):
    return tuple(map_bodies(s, lambda b: without(b, op)) for s in body if not (isinstance(s, Instr) and s.op in op))


def test_the_flags_of_a_one_way_loop_are_needed():
    program = build(PIPELINED.format(stages=0, interval=''), PARAMS, threads=2)
    lowered = lower(program, ALL, profile='sound')
    flags = ('set_cross_flag', 'wait_cross_flag')
    assert sum(isinstance(s, Instr) and s.op in flags for s in walk(lowered.body)) == 6
    result, _, _ = launch(program, {'n': 3, 'm': 0}, OUTPUTS, lowered=lowered.with_body(without(lowered.body, flags)))
    assert {f.word for f in result.verdict.findings} == {'race'}
