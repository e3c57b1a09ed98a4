"""Profile sound: a T.Parallel nest computes what its body says, element by element."""

import pytest
import torch

from pass_configs import DEVELOPER
from tiletwin import compile

from .small import build

PARAMS = 'A: T.Tensor((8, 16), "float32"), V: T.Tensor((16,), "float32"), N: T.Tensor((8, 16), "int32"), C: T.Tensor((8, 16), "float32")'
HEAD = '''
a = T.alloc_ub((8, 16), "float32")
b = T.alloc_ub((8, 16), "float32")
c = T.alloc_ub((8, 16), "float32")
wide = T.alloc_ub((8, 32), "float32")
h = T.alloc_ub((8, 16), "float16")
n = T.alloc_ub((8, 16), "int32")
v = T.alloc_ub((16,), "float32")
w = T.alloc_ub((16,), "float32")
col = T.alloc_ub((8, 1), "float32")
T.copy(A, a)
T.copy(A, b)
T.copy(V, v)
T.copy(N, n)
T.tile.add(w, v, 1.0)
T.tile.fill(c, 7.0)
T.tile.fill(h, 0.5)
T.tile.createvecindex(wide, 0.25)
T.tile.fill(col, 3.0)
'''
LOOPS = 'for i, j in T.Parallel(8, 16):\n    '
# Bodies the compiler gets wrong are marked; the meaning is the same loop nest, run serially.
BODIES = [
    LOOPS + 'c[i, j] = a[i, j] + b[i, j] * 2.0',
    LOOPS + 'c[i, j] = (a[i, j] + 1.0) * (b[i, j] - a[i, j])',
    LOOPS + 'c[i, j] = a[i, j] * v[j]',
    LOOPS + 'c[i, j] = v[j] * a[i, j]',
    LOOPS + 'c[i, j] = v[j] - a[i, j]',
    LOOPS + 'c[i, j] = a[i, j] - w[i]',
    LOOPS + 'c[i, j] = a[i, j] * col[i, 0]',
    LOOPS + 'c[i, j] = a[i, j] * wide[i, 3]',
    LOOPS + 'c[i, j] = w[i] + v[j]',  # both broadcasts
    LOOPS + 'c[i, j] = v[j] * 2.0',
    LOOPS + 'c[i, j] = v[j]',
    LOOPS + 'c[i, j] = 2.0 * a[i, j]',
    LOOPS + 'c[i, j] = T.min(a[i, j], 0.5)',  # crashes the compiler
    LOOPS + 'c[i, j] = T.max(a[i, j] * b[i, j], 0.0)',
    LOOPS + 'c[i, j] = T.if_then_else(j < i, a[i, j], b[i, j])',
    LOOPS + 'c[i, j] = T.cast(h[i, j], "float32") + a[i, j]',
    LOOPS + 'c[i, j] = T.cast(h[i, j], "float32")',
    LOOPS + 'c[i, j] = T.cast(n[i, j], "float32")',
    LOOPS + 'n[i, j] = T.cast(a[i, j] * 4.0, "int32")\n    c[i, j] = T.cast(n[i, j], "float32")',
    'for i, j in T.Parallel(4, 16):\n    c[i + 4, j] = a[i, j] + b[i + 2, j]',
    'for i, j in T.Parallel(4, 16):\n    c[i + 4, j] = a[i, j]',  # the store's offset
    'for i, j in T.Parallel(4, 8):\n    c[i, j + 8] = a[i, j] + b[i, j]',  # part of a row
    LOOPS + 'wide[i, j + 16] = a[i, j] * 2.0\nT.copy(wide[:, 16:32], c)',  # a wider tile
    'for i in T.serial(8):\n    for j in T.Parallel(16):\n        v[j] = v[j] + a[i, j]\n' + LOOPS + 'c[i, j] = a[i, j] + v[j]',  # over-counts
    'for i in T.serial(8):\n    for j in T.Parallel(16):\n        c[i, j] = v[j]',
    LOOPS + 'c[i, j] = a[i, 15 - j] + b[7 - i, j]',
    'for k in T.Parallel(8):\n    v[k * 2] = w[k] + 1.0\nfor i, j in T.Parallel(8, 16):\n    c[i, j] = a[i, j] + v[j]',
    LOOPS + 'c[i, j] = a[i, j] + b[i, j]\n    b[i, j] = c[i, j] * 2.0',
    LOOPS + 'c[i, j] = a[i, j] / 4.0',
]


def run(body):
    program = build(HEAD + body + '\nT.copy(c, C)', PARAMS)
    kernel = compile(program, out_idx=-1, pass_configs=DEVELOPER)
    g = torch.Generator().manual_seed(3)
    out = kernel(torch.randn(8, 16, generator=g), torch.randn(16, generator=g), torch.randint(-9, 9, (8, 16), generator=g, dtype=torch.int32))
    return out, kernel.last.verdict


def serial(body: str) -> str:
    out, pad = [], ''
    for line in body.split('\n'):
        if 'in T.Parallel(' not in line:
            out.append(pad + line if line.startswith(' ') else line)
            pad = pad if line.startswith(' ') else ''
            continue
        indent = line[:len(line) - len(line.lstrip())]
        names, extents = line.strip()[4:].split(' in T.Parallel(')
        names, extents = names.split(', '), extents.rstrip('):').split(', ')
        for depth, (name, extent) in enumerate(zip(names, extents)):
            out.append(f'{indent}{"    " * depth}for {name} in T.serial({extent}):')
        pad = '    ' * (len(names) - 1)
    return '\n'.join(out)


@pytest.mark.parametrize('body', BODIES)
def test_vector_and_serial_loops_agree(body, monkeypatch):
    monkeypatch.setenv('TILETWIN_PROFILE', 'sound')
    out, verdict = run(body)
    want, _ = run(serial(body))
    assert torch.allclose(out, want, rtol=1e-6, atol=1e-6)
    assert verdict.level == 'clean'
