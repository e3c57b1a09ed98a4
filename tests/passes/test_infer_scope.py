"""Where alloc_shared and alloc_fragment tiles go (dialect 3.3)."""

import pytest

from tiletwin.passes import infer_scope

from .small import after, build

PARAMS = 'A: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float32")'
TILES = '''
s = T.alloc_shared((64, 64), "float16")
t = T.alloc_shared((64, 64), "float16")
f = T.alloc_fragment((64, 64), "float32")
x = T.alloc_shared((64, 64), "float32")
l1 = T.alloc_L1((64, 64), "float16")
la = T.alloc_L0A((64, 64), "float16")
'''
# body -> space of the tiles it is about
CASES = {
    'T.gemm_v0(s, t, f)': {'s': 'L1', 't': 'L1', 'f': 'L0C'},
    'T.tile.exp(s, s)': {'s': 'UB'},
    'T.tile.exp(s, s)\nT.gemm_v0(s, t, f)': {'s': 'L1'},
    'T.copy(A, s)': {'s': 'UB'},
    'T.copy(A, s)\nT.copy(s, la)': {'s': 'L1'},
    'T.reduce_sum(s, t[0:1, :], dim=0)': {'s': 'UB', 't': 'UB'},
    'T.copy(f, C)': {'f': 'L0C'},
    'x[0, 0] = 1.0': {'x': 'L1'},  # scalar accesses are no uses
    'for i, j in T.Parallel(64, 64):\n    x[i, j] = 1.0': {'x': 'L1'},
    'T.copy(A, s)\nT.copy(s, t)': {'s': 'UB', 't': 'UB'},
    'T.tile.exp(s, s)\nT.copy(s, t)\nT.gemm_v0(t, l1, f)': {'s': 'UB', 't': 'L1'},
    'T.copy(s, t)': {'s': 'UB', 't': 'UB'},
    'T.tile.atomic_add(C[0:64, 0:64], x)': {'x': 'UB'},
}


@pytest.mark.parametrize('body', CASES)
def test_uses_decide(body):
    program = after(build(TILES + body, PARAMS), infer_scope)
    assert {n: program.buffers[n].space for n in CASES[body]} == CASES[body]
    assert not [b for b in program.buffers.values() if b.space in ('SHARED', 'FRAGMENT')]


def test_named_memories_are_left_alone():
    program = build('u = T.alloc_ub((8, 8), "float32")\nT.tile.fill(u, 0.0)', PARAMS)
    assert after(program, infer_scope) is program


def test_fragments_of_a_matrix_operation_go_by_their_smallest_operand_position():
    tiles = 'a = T.alloc_fragment((16, 16), "float16")\nb = T.alloc_fragment((16, 16), "float16")\nc = T.alloc_fragment((16, 16), "float32")\n'
    program = after(build(tiles + 'T.mma(a, b, c, init=True)', PARAMS), infer_scope)
    assert [program.buffers[n].space for n in 'abc'] == ['L0A', 'L0B', 'L0C']
