"""Profile sound under threads=2: split kernels equal the kernel on one core, the others stay on one vector core."""

import pytest
import torch

from tiletwin import compile
from tiletwin.passes import simplify, vid_reduction
from pass_configs import DEVELOPER

from .small import after, build, context

PARAMS = 'A: T.Tensor((16, 16), "float32"), V: T.Tensor((16,), "float32"), C: T.Tensor((16, 16), "float32")'
TILES = '''
a = T.alloc_shared((16, 16), "float32")
b = T.alloc_shared((16, 16), "float32")
h = T.alloc_shared((16, 16), "float16")
m = T.alloc_shared((16, 2), "uint8")
v = T.alloc_shared((16,), "float32")
w = T.alloc_shared((16, 1), "float32")
row = T.alloc_shared((1, 16), "float32")
T.copy(A, a)
T.copy(V, v)
T.tile.fill(b, 1.0)
'''
SPLIT = [
    'T.tile.add(b, a, b)', 'T.tile.mul(b, a, 3.0)', 'T.tile.exp(b, a)', 'T.tile.axpy(b, a, 2.0)', 'T.tile.mul_add_dst(b, a, a)',
    'T.tile.sigmoid(b, a)', 'T.tile.silu(b, a)',
    'T.tile.clamp(b, a, 0.0, 0.5, 256)', 'T.tile.cast(h, a, "CAST_RINT", 256)\nT.copy(h, b)', 'T.reduce_sum(a, w)\nT.tile.broadcast(b, w)',
    'T.tile.compare(m, a, 0.0, "GT")\nT.tile.select(b, m, a, -1.0, "VSEL_TENSOR_SCALAR_MODE")',
    'for i in T.serial(16):\n    T.tile.mul(b[i, :], a[i, :], v[i])', 'for i in T.serial(16):\n    T.copy(A[i, :], b[i, :])',
    'for i in T.serial(16):\n    T.tile.mul(b[i, :], a[i, :], T.cast(i, "float32"))',
    'for i, j in T.Parallel(16, 16):\n    b[i, j] = a[i, j] * v[i] + 1.0',
    'for i, j in T.Parallel(16, 16):\n    b[i, j] = T.if_then_else(j < i, a[i, j], 0.0)',
]
WHOLE = [
    'T.reduce_max(a, row, dim=0)\nT.tile.broadcast(b, row)', 'T.tile.exp(b[0:8, :], a[8:16, :])',
    'for i in T.serial(8):\n    T.tile.exp(b[i, :], a[i + 8, :])',
    'for i in T.serial(16):\n    T.tile.mul(b[i, :], a[i, :], v[15 - i])', 'T.tile.transpose(b, a)', 'x = a[3, 3]\nT.tile.mul(b, a, x)',
    'for i, j in T.Parallel(16, 16):\n    b[i, j] = a[i, j] + v[j]',
    'for i in T.serial(16):\n    T.tile.add(b[i, :], a[i, :], 1.0)\n    T.tile.add(a, a, 1.0)',
    'for i in T.serial(16):\n    for k in T.serial(16):\n        T.tile.mul(b[k, :], b[k, :], 1.01)\n    T.tile.add(a[i, :], a[i, :], 1.0)',
]


def kernel(body, threads):
    return build(TILES + body + '\nT.copy(b, C)', PARAMS, threads)


def run(program):
    g = torch.Generator().manual_seed(0)
    made = compile(program, out_idx=-1, pass_configs=DEVELOPER)
    out = made(torch.randn(16, 16, generator=g), torch.randn(16, generator=g))
    return out, made.last.verdict, made.program.launch.form


@pytest.fixture(autouse=True)
def sound(monkeypatch):
    monkeypatch.setenv('TILETWIN_PROFILE', 'sound')


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('body', SPLIT + WHOLE)
def test_two_cores_compute_what_one_computes(body):
    out, verdict, form = run(kernel(body, 2))
    want, _, _ = run(kernel(body, 1))
    assert torch.equal(out, want)
    assert verdict.level == 'clean'
    assert form == ('threads2' if body in SPLIT else 'threads1')


def test_the_reason_for_one_core_is_said():
    ctx = context(profile='sound')
    after(build('a = T.alloc_ub((35, 64), "float32")\nT.tile.fill(a, 0.0)', threads=2), simplify, vid_reduction, ctx=ctx)
    assert [w.message for w in ctx.warnings] == ['one vector core does all the work: a has an odd number of rows']
    assert ctx.warnings[0].where is not None
