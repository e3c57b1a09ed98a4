"""Random developer-mode kernels over both cores of a block: products, element-wise work, tiles that change core, loops that may
run zero times or be pipelined, branches, scalar variables, tensors one core stores and the other loads.

Tiles hold small integers, so every result is exact whatever the order of additions.
"""

from __future__ import annotations

N = 32
PARAMS = (f'A: T.Tensor((128, {N}), "float16"), R: T.Tensor((128, {N}), "float32"), C: T.Tensor((128, {N}), "float32"), D: T.Tensor((128, {N}), "float32"), '
          'n: T.int32, m: T.int32')
HEAD = f'''
a0 = T.alloc_L1(({N}, {N}), "float16")
a1 = T.alloc_L1(({N}, {N}), "float16")
a2 = T.alloc_L1(({N}, {N}), "float16")
s0 = T.alloc_L0C(({N}, {N}), "float32")
s1 = T.alloc_L0C(({N}, {N}), "float32")
u0 = T.alloc_ub(({N}, {N}), "float32")
u1 = T.alloc_ub(({N}, {N}), "float32")
u2 = T.alloc_ub(({N}, {N}), "float32")
h0 = T.alloc_ub(({N}, {N}), "float16")
v = T.alloc_var("int32", init=0)
'''
START = ('T.copy(A[0, 0], a0)', 'T.copy(A[32, 0], a1)', 'T.copy(A[64, 0], a2)', 'T.gemm_v0(a0, a1, s0, init=True)', 'T.gemm_v0(a0, a2, s1, init=True)',
         'T.copy(R[0, 0], u0)', 'T.copy(R[32, 0], u1)', 'T.copy(R[64, 0], u2)', 'T.copy(u0, h0)')
END = ('T.copy(u0, C[0, 0])', 'T.copy(s0, D[0, 0])', 'T.copy(u1, C[32, 0])', 'T.copy(s1, D[32, 0])')


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.loops: list[str] = []
        self.count = 0

    def one(self, *items):
        return self.rng.choice(items)

    def row(self) -> str:
        """The start of one of four tiles of a tensor."""
        choices = ['0', '32', '64', '96', '(v % 4) * 32'] + [f'({k} % 4) * 32' for k in self.loops] * 3
        return self.one(*choices)

    def tile(self, stem: str, count: int) -> str:
        return f'{stem}{self.rng.randrange(count)}'

    def simple(self) -> list[str]:
        u, w, x, s, a, b = self.tile('u', 3), self.tile('u', 3), self.tile('u', 3), self.tile('s', 2), self.tile('a', 3), self.tile('a', 3)
        small = [f'T.tile.min({u}, {u}, 2.0)', f'T.tile.max({u}, {u}, -2.0)']
        return self.one(
            [f'T.copy(A[{self.row()}, 0], {a})'], [f'T.copy(R[{self.row()}, 0], {u})'], [f'T.copy({u}, C[{self.row()}, 0])'], [f'T.copy({s}, D[{self.row()}, 0])'],
            [f'T.gemm_v0({a}, {b}, {s}, init=True)'], [f'T.copy({s}, {u})', *small], [f'T.copy({s}, {u})', *small, f'T.tile.add({w}, {w}, {u})', f'T.tile.min({w}, {w}, 2.0)'],
            [*small, f'T.copy({u}, h0)', f'T.copy(h0, {a})'], [f'T.tile.max({u}, {w}, {x})'], [f'T.tile.abs({u}, {w})'], [f'T.tile.sub({u}, {w}, {x})', *small],
            [f'T.copy(D[{self.row()}, 0], {u})', *small], [f'T.copy(C[{self.row()}, 0], {u})', *small], ['v = v + 1'],
            [*small, f'T.copy({u}, h0)', f'T.copy(h0, {a})', f'T.gemm_v0({a}, {b}, {s}, init=True)', f'T.copy({s}, {u})', *small])

    def block(self, depth: int) -> list[str]:
        out: list[str] = []
        for _ in range(self.rng.randrange(1, 5)):
            roll = self.rng.randrange(100)
            if depth and roll < 30:
                out += self.loop(depth)
            elif depth and roll < 40:
                out += self.branch(depth)
            else:
                out += self.simple()
        return out

    def loop(self, depth: int) -> list[str]:
        self.count += 1
        k, trips, ahead = f'k{self.count}', self.one('n', 'm', '2', '3'), self.rng.randrange(4)
        self.loops.append(k)
        body = self.block(depth - 1)
        self.loops.pop()
        head = f'for {k} in T.Pipelined({trips}, num_stages={ahead}):' if ahead and len(body) > 1 else f'for {k} in T.serial({trips}):'
        return [head, *('    ' + line for line in body)]

    def branch(self, depth: int) -> list[str]:
        left = self.one('n', 'v', *self.loops)
        out = [f'if {left} {self.one("<", "==", ">")} {self.rng.randrange(3)}:', *('    ' + line for line in self.block(depth - 1))]
        if self.rng.randrange(2):
            out += ['else:', *('    ' + line for line in self.block(depth - 1))]
        return out


def source(rng) -> str:
    return '\n'.join([HEAD.strip(), *START, *Maker(rng).block(2), *END])
