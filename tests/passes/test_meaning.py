"""Where the real compiler changes what a kernel computes, a note says so; where it does not, none does.

The judge is the sequential interpretation of the source: each kernel runs as the compiler lowers it, and its results differ
from what the source means exactly when there is a note.
"""

import pytest
import torch

from tiletwin.passes.context import KEYS
from tiletwin.passes.pipeline import lower

from .run_sound import launch
from .small import build

GM = ('A: T.Tensor((256, 64), "float32"), W: T.Tensor((4, 64), "float32"), B: T.Tensor((2, 64, 4, 64), "float32"), H: T.Tensor((256, 64), "float16"), '
      'C: T.Tensor((256, 64), "float32"), n: T.int32')
TILES = 'a = T.alloc_ub((64, 64), "float32")\nb = T.alloc_ub((64, 64), "float32")\n'
VECTOR = f'{TILES}v = T.alloc_ub((64,), "float32")\nT.copy(A[0, 0:64], v)\n'
ROW = 'w = T.alloc_ub((1, 64), "float32")\n'
LOAD, SAVE = 'T.copy(A[0, 0], a)\n', '\nT.copy(b, C[0, 0])'

# name: (source, what the note says or None); threads=2
HALVES = {
    'whole tiles': (f'{TILES}{LOAD}T.tile.add(b, a, 1.0){SAVE}', None),
    'odd rows': ('a = T.alloc_ub((35, 64), "float32")\nT.copy(A[0, 0], a)\nT.copy(a, C[0, 0])', 'a has 35 rows'),
    'loop over rows': (f'{TILES}{LOAD}for i in T.serial(64):\n    T.tile.add(b[i, :], a[i, :], 1.0){SAVE}', None),
    'loop over some rows': (f'{TILES}{LOAD}T.tile.fill(b, 0.0)\nfor i in T.serial(16):\n    T.tile.add(b[i, :], a[i, :], 1.0){SAVE}', 'makes 16 trips'),
    'row number as a value': (f'{TILES}for i in T.serial(64):\n    T.tile.fill(b[i, :], T.cast(i, "float32")){SAVE}', 'i is used as a number'),
    'rows by copies': (f'{TILES}for i in T.serial(64):\n    T.copy(A[64 + i, 0:64], b[i, :]){SAVE}', None),
    'one row by a copy': (f'{TILES}{LOAD}T.tile.add(b, a, 1.0)\nT.copy(A[80, 0:64], b[3, :]){SAVE}', 'row 3 of b is copied'),
    'part of a tile copied': (f'{TILES}T.tile.fill(b, 0.0)\nT.copy(A[0:16, 0:64], b[0:16, :]){SAVE}', 'part of b is copied'),
    'part of a tile used': (f'{TILES}{LOAD}T.tile.add(b, a, 1.0)\nT.tile.abs(b[0:16, :], a[0:16, :]){SAVE}', 'part of'),
    'rows in another dimension': (f'{TILES}T.copy(B[1, 0:64, 0, 0:64], b){SAVE}', 'the rows of b are not dimension 2 of B'),
    'element at a fixed row': (f'{VECTOR}{LOAD}T.tile.add(b, a, v[2]){SAVE}', 'part of v is used'),
    'element of a row': (f'{VECTOR}{LOAD}for i in T.serial(64):\n    T.tile.add(b[i, :], a[i, :], v[i]){SAVE}', None),
    'element in a scalar': (f'{VECTOR}{LOAD}for i in T.serial(64):\n    T.tile.add(b[i, :], a[i, :], v[2] * 2.0){SAVE}', 'a scalar is read from v'),
    'element stored': (f'{TILES}{LOAD}T.tile.add(b, a, 1.0)\nb[2, 3] = T.float32(7.0){SAVE}', 'a scalar is stored to b'),
    'column reduction': (f'{TILES}{ROW}{LOAD}T.tile.fill(w, 0.0)\nT.reduce_max(a, w, dim=0)\nT.copy(w, C[0, 0])', 'the columns of a are reduced'),
    'column sums added up': (f'{TILES}{ROW}{LOAD}T.reduce_sum(a, w, dim=0)\nT.tile.atomic_add(C[0, 0], w)', None),
    'row reduction': ('a = T.alloc_ub((64, 64), "float32")\nv = T.alloc_ub((64,), "float32")\nT.copy(A[0, 0], a)\nT.reduce_max(a, v, dim=-1)\n'
                      'for i in T.serial(64):\n    T.tile.add(a[i, :], a[i, :], v[i])\nT.copy(a, C[0, 0])', None),
    'rows accumulated': (f'{TILES}{ROW}{LOAD}T.tile.fill(w, 0.0)\nfor i in T.serial(64):\n    T.tile.add(w, w, a[i, :])\nT.copy(w, C[0, 0])', 'w is accumulated over rows'),
    'one row for both': (f'{TILES}{ROW}{LOAD}T.copy(W[0, 0], w)\nfor i in T.serial(64):\n    T.tile.add(b[i, :], a[i, :], w[0, :]){SAVE}', 'w has one row for both cores'),
    'atomic add': (f'{TILES}{LOAD}T.tile.atomic_add(C[0, 0], a)', 'T.tile.atomic_add of a is not split'),
}

# name: (source, what the note says or None); threads=1
PARALLEL = {
    'whole tiles': (f'{TILES}{LOAD}for i, j in T.Parallel(64, 64):\n    b[i, j] = a[i, j] * 2.0 + a[i, j]{SAVE}', None),
    'rows of wider tiles': (f'{TILES}{LOAD}T.tile.fill(b, 0.0)\nfor i, j in T.Parallel(64, 32):\n    b[i, j] = a[i, j] * 2.0{SAVE}', 'rows of 32 elements'),
    'some rows': (f'{TILES}{LOAD}T.tile.fill(b, 0.0)\nfor i, j in T.Parallel(16, 64):\n    b[i + 16, j] = a[i, j] + a[i + 8, j]{SAVE}', None),
    'copy of some rows': (f'{TILES}{LOAD}T.tile.fill(b, 0.0)\nfor i, j in T.Parallel(16, 64):\n    b[i + 16, j] = a[i, j]{SAVE}', 'the copy goes over'),
    'copy of a tile': (f'{TILES}{LOAD}for i, j in T.Parallel(64, 64):\n    b[i, j] = a[i, j]{SAVE}', None),
    'cast with an offset': ('h = T.alloc_ub((64, 64), "float16")\nb = T.alloc_ub((64, 64), "float32")\nT.copy(H[0, 0], h)\nT.tile.fill(b, 0.0)\n'
                            f'for i, j in T.Parallel(16, 64):\n    b[i, j] = T.cast(h[i + 16, j], "float32"){SAVE}', 'the copy goes over'),
    'cast of a tile': ('h = T.alloc_ub((64, 64), "float16")\nb = T.alloc_ub((64, 64), "float32")\nT.copy(H[0, 0], h)\n'
                       f'for i, j in T.Parallel(64, 64):\n    b[i, j] = T.cast(h[i, j], "float32"){SAVE}', None),
    'every second element': (f'{TILES}{LOAD}T.tile.fill(b, 0.0)\nfor i, j in T.Parallel(64, 32):\n    b[i, j] = a[i, 2 * j] + a[i, 2 * j]{SAVE}', 'rows of 32 elements'),
    'two vectors': ('v = T.alloc_ub((64,), "float32")\nx = T.alloc_ub((64,), "float32")\nb = T.alloc_ub((64, 64), "float32")\nT.copy(A[0, 0], v)\nT.copy(A[1, 0], x)\n'
                    f'for i, j in T.Parallel(64, 64):\n    b[i, j] = v[i] + x[j]{SAVE}', 'both operands are vectors'),
    'a vector on each row': (f'v = T.alloc_ub((64,), "float32")\n{TILES}{LOAD}T.copy(A[1, 0], v)\n'
                             f'for i in T.serial(64):\n    for j in T.Parallel(64):\n        b[i, j] = a[i, j] + v[j]{SAVE}', None),
    'serial rows into a vector': (f'v = T.alloc_ub((1024,), "float32")\n{TILES}{LOAD}T.tile.fill(v, 0.0)\n'
                                  'for i in T.serial(4):\n    for j in T.Parallel(64):\n        v[j] = v[j] + 1.0\nT.copy(v[0:64], C[0, 0:64])\nT.copy(v[64:128], C[1, 0:64])',
                                  'each trip of i works on 256 elements'),
    'flat index over both': ('v = T.alloc_ub((1024,), "float32")\nx = T.alloc_ub((1024,), "float32")\nT.tile.fill(v, 3.0)\nT.tile.fill(x, 0.0)\n'
                             'for i, j in T.Parallel(16, 64):\n    x[i * 64 + j] = v[i * 64 + j] * 2.0\nT.copy(x[64:128], C[1, 0:64])', None),
    'scalar form': (f'{TILES}{LOAD}for i, j in T.Parallel(64, 64):\n    b[i, j] = 1.0 - a[i, j]{SAVE}', None),
}

CUBE = '''
a = T.alloc_L1((64, 64), "float16")
s = T.alloc_L0C((64, 64), "float32")
u = T.alloc_ub((64, 64), "float32")
v = T.alloc_ub((64, 64), "float32")
T.copy(H[0, 0], a)
T.gemm_v0(a, a, s, init=True)
T.copy(s, u)
'''
LOOP = 'for k in T.serial(3):\n'
PIPE = '''
a = T.alloc_L1((64, 64), "float16")
b = T.alloc_L1((64, 64), "float16")
s = T.alloc_L0C((64, 64), "float32")
u = T.alloc_ub((64, 64), "float32")
h = T.alloc_ub((64, 64), "float32")
T.copy(H[0, 0], b)
T.tile.fill(h, 0.0)
{loop}
    T.copy(H[{at} * 32, 0], a)
    T.gemm_v0(a, b, s, init=True)
    T.copy(s, u)
    {body}
    T.copy(u, C[{at} * 64, 0])
'''


def pipe(trips, stages, body='T.tile.add(u, u, 1.0)', at='k'):
    return PIPE.format(loop=f'for k in T.Pipelined({trips}, num_stages={stages}):', body=body, at=at)


CROSS = {
    'in place in a loop': (f'{CUBE}{LOOP}    T.tile.add(u, u, 1.0)\nT.copy(u, C[0, 0])', 'u is loaded again in every iteration'),
    'a whole-tile operation in front': (f'{CUBE}T.tile.add(u, u, 0.0)\n{LOOP}    T.tile.add(u, u, 1.0)\nT.copy(u, C[0, 0])', None),
    'read in a loop': (f'{CUBE}{LOOP}    T.tile.add(v, u, 1.0)\n    T.copy(v, C[k * 64, 0])', None),
    'in place in a loop of one trip': (f'{CUBE}for k in T.serial(1):\n    T.tile.add(u, u, 1.0)\nT.copy(u, C[0, 0])', None),
    'written before it is read': (f'{CUBE}T.tile.fill(u[0:32, :], 7.0)\nT.tile.add(v, u, 1.0)\nT.copy(v, C[0, 0])', 'over what is written to it here'),
    'read before the copy': ('a = T.alloc_L1((64, 64), "float16")\ns = T.alloc_L0C((64, 64), "float32")\nu = T.alloc_ub((64, 64), "float32")\nv = T.alloc_ub((64, 64), "float32")\n'
                             'T.copy(H[0, 0], a)\nT.gemm_v0(a, a, s, init=True)\nT.copy(A[0, 0], u)\nT.tile.add(v, u, 1.0)\nT.copy(v, C[0, 0])\nT.copy(s, u)\n'
                             'T.tile.add(v, u, 1.0)\nT.copy(v, C[64, 0])', 'which stands before the copy'),
    'variable in a loop': ('u = T.alloc_ub((64, 64), "float32")\ns = T.alloc_var("int32", init=0)\n'
                           f'{LOOP}    T.copy(A[s * 64, 0], u)\n    T.copy(u, C[k * 64, 0])\n    s = s + 1', 's is updated on the cube core only'),
    'variable read before its update': ('u = T.alloc_ub((64, 64), "float32")\ns = T.alloc_var("int32", init=1)\nT.copy(A[s * 64, 0], u)\nT.copy(u, C[0, 0])\ns = s + 1', None),
    'pipelined': (pipe(4, 2), None), 'pipelined, a rest': (pipe(3, 2), 'the last 1 is dropped'), 'pipelined, one stage': (pipe(3, 1), None),
    'pipelined, symbolic': (pipe('n', 2, at='(k % 4)', body='T.tile.add(h, h, 1.0)\n    T.tile.add(u, u, h)'), 'is not constant'),
    'pipelined, condition': (pipe(4, 2, 'T.tile.add(u, u, 0.0)\n    if k == 1:\n        T.tile.add(u, u, 1.0)'), 'once more when the condition holds'),
    'not pipelined, condition': (pipe(4, 0, 'if k == 1:\n        T.tile.add(u, u, 1.0)').replace('T.Pipelined(4, num_stages=0)', 'T.serial(4)')
                                 .replace('T.copy(s, u)', 'T.copy(s, u)\n    T.tile.add(u, u, 0.0)'), None),
    'pipelined, running sum': (pipe(4, 2, 'T.tile.add(h, h, u)\n    T.tile.add(u, u, h)'), None),
    'tile of one stage read in another': (
        'a = T.alloc_L1((64, 64), "float16")\nb = T.alloc_L1((64, 64), "float16")\np = T.alloc_L1((64, 64), "float16")\ns = T.alloc_L0C((64, 64), "float32")\n'
        'o = T.alloc_L0C((64, 64), "float32")\nu = T.alloc_ub((64, 64), "float32")\nh = T.alloc_ub((64, 64), "float16")\nT.copy(H[0, 0], b)\nT.copy(H[64, 0], a)\n'
        'for k in T.Pipelined(4, num_stages=2):\n    T.copy(H[k * 64, 0], a)\n    T.gemm_v0(a, b, s, init=True)\n    T.copy(s, u)\n    T.tile.min(u, u, 2.0)\n    T.copy(u, h)\n'
        '    T.copy(h, p)\n    T.gemm_v0(p, a, o, init=True)\n    T.copy(o, C[k * 64, 0])\nT.gemm_v0(a, b, s, init=True)\nT.copy(s, A[0, 0])', 'a goes from one stage'),
}
ROWS = [(f'{kind}: {name}', threads, *row) for kind, threads, table in (('halves', 2, HALVES), ('parallel', 1, PARALLEL), ('cross', 1, CROSS)) for name, row in table.items()]


@pytest.mark.parametrize('name, threads, body, says', ROWS, ids=[r[0] for r in ROWS])
def test_a_note_exactly_where_the_results_change(name, threads, body, says):
    program = build(body, GM, threads=threads)
    found = []
    lowered = lower(program, {k: True for k in KEYS}, warnings=found)
    notes = [w for w in found if w.changes_meaning]
    result, got, meant = launch(program, {'n': 4}, ('C',), profile='fork', lowered=lowered)
    same = all(torch.equal(got[t].nan_to_num(99.0), meant[t].nan_to_num(99.0)) for t in meant)
    assert bool(notes) == (says is not None), [w.message for w in notes]
    # A pipeline in one direction races as well (its workspaces have no reverse flag), and then no result is certain.
    assert not same if says else same or result.verdict.of('race')
    assert all(w.where is not None for w in notes)
    if says:
        assert any(part in w.message for w in notes for part in says.split('|')), [w.message for w in notes]


@pytest.mark.parametrize('name, threads, body, says', [r for r in ROWS if r[3]], ids=[r[0] for r in ROWS if r[3]])
def test_profile_sound_keeps_the_meaning(name, threads, body, says):
    program = build(body, GM, threads=threads)
    found = []
    lowered = lower(program, {k: True for k in KEYS}, profile='sound', warnings=found)
    assert not any(w.changes_meaning for w in found)
    result, got, meant = launch(program, {'n': 4}, ('C',), lowered=lowered)
    assert all(torch.equal(got[t].nan_to_num(99.0), meant[t].nan_to_num(99.0)) for t in meant)
    assert [(f.word, f.message) for f in result.verdict.findings] == []
