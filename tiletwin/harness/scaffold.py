"""`tiletwin new NAME`: a contract and its two kernels to start from. They run and check clean as they are written."""

from __future__ import annotations

import keyword
from pathlib import Path

from ..errors import EnvironmentError_

CONTRACT = '''"""@NAME@: what it computes, on which cases, how exactly."""

import torch

from tiletwin.errors import CallError
from tiletwin.harness.contract import BadInput, Case, Contract, Operand, Output, Variant


def reference(x, scale, **_):
    """In float64, rounded once."""
    return ((x.double().exp() * scale).to(torch.float32),)


def limits(sizes, settings):
    """What the kernels do not cover is refused before anything runs."""
    if sizes['N'] > 8192:
        raise CallError(f'@NAME@: N is {sizes["N"]}', why='a tile holds whole rows, and two tiles fit UB', instead='at most 8192')


def mn(M, N):
    return {'M': M, 'N': N}


@UPPER@ = Variant(
    name='@NAME@',
    row='',  # its id in the operator list, when it has one
    kernel='@NAME@',  # the factory in ops/expert/@NAME@.py and ops/developer/@NAME@.py
    chips=('a2', 'a3', 'a5'),
    inputs=(Operand('x', ('M', 'N'), ('float32',)),),
    attributes={'scale': 1.0, 'cores': None},
    reference=reference,
    outputs=lambda s, a, t: (Output('y', (s['M'], s['N']), 'float32'),),
    policy=lambda dtype: 'allclose 1e-5/1e-6 + l2 1e-6',
    limits=limits,
    cases=(
        Case('minimum', 'minimum', mn(1, 1), {'cores': 1}),
        Case('source', 'source', mn(2048, 1024)),
        Case('scale', 'tail', mn(128, 500), {'scale': 0.25}),
        Case('tail', 'tail', mn(67, 333), {'cores': 2}),
        Case('reuse', 'reuse', mn(200, 1024), {'cores': 1}),
        Case('idle', 'idle', mn(3, 64), {'cores': 4}),
        Case('uneven', 'uneven', mn(90, 2048), {'cores': 2}),
    ),
    bad=(
        BadInput('dtype', lambda: ((torch.zeros(4, 8).half(),), {}), CallError, 'x is float16'),
        BadInput('rank', lambda: ((torch.zeros(8),), {}), CallError, 'x has shape (8,)'),
        BadInput('transposed', lambda: ((torch.zeros(8, 4).t(),), {}), CallError, 'x is not contiguous'),
        BadInput('too-long', lambda: ((torch.zeros(2, 8200),), {}), CallError, 'N is 8200'),
        BadInput('attribute', lambda: ((torch.zeros(4, 8),), {'bias': 1}), CallError, "no attribute 'bias'"),
        BadInput('missing', lambda: ((), {}), CallError, 'takes 1 tensors'),
    ),
)

CONTRACT = Contract('@NAME@', (@UPPER@,))
'''

DEVELOPER = '''"""Developer @NAME@: tiles by name, everything else left to the compiler."""

import tiletwin
from pass_configs import VECTOR_ONLY
from tiletwin import language as T


@tiletwin.jit(out_idx=[1], pass_configs=VECTOR_ONLY)
def @NAME@(M, N, scale=1.0, cores=24):
    """The compiled kernel for one shape: `kernel(x) -> y`."""
    width = (N + 7) // 8 * 8  # rows of UB start on 32 bytes
    # Both vector cores work on half of the rows of a tile.
    rows = 2 * max(1, min(32, 8192 // width))
    tiles = (M + rows - 1) // rows

    @T.prim_func
    def main(X: T.Tensor((M, N), 'float32'), Y: T.Tensor((M, N), 'float32')):
        with T.Kernel(cores, threads=2, is_npu=True) as cid:
            x = T.alloc_shared((rows, width), 'float32')
            for t in T.serial((tiles - cid + cores - 1) // cores):
                row = (t * cores + cid) * rows
                T.copy(X[row, 0], x)
                T.tile.exp(x, x)
                T.tile.mul(x, x, scale)
                T.copy(x, Y[row, 0])

    return main
'''

EXPERT = '''"""Expert @NAME@: two tiles in flight, so that loads, arithmetic and stores overlap."""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def @NAME@(M, N, scale=1.0, cores=24):
    """The compiled kernel for one shape: `kernel(x) -> y`."""
    width = (N + 7) // 8 * 8  # rows of UB start on 32 bytes
    workers = 2 * cores
    share = (M + workers - 1) // workers
    # Small enough for every vector core to have two: one alone overlaps with nothing.
    rows = max(1, min(32, 8192 // width, (share + 1) // 2))
    tiles = (M + rows - 1) // rows

    @T.prim_func
    def main(X: T.Tensor((M, N), 'float32'), Y: T.Tensor((M, N), 'float32')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            x = T.alloc_ub((2, rows, width), 'float32')
            with T.Scope('V'):
                # Ids 1 and 2: a load that pads uses id 0 of some pairs itself.
                for s in T.serial(2):
                    T.set_flag('mte3', 'mte2', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    row = (t * workers + cid * 2 + vid) * rows
                    s = t % 2
                    T.wait_flag('mte3', 'mte2', s + 1)
                    T.copy(X[row, 0], x[s, :, :])
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    T.tile.exp(x[s, :, :], x[s, :, :])
                    T.pipe_barrier('v')
                    T.tile.mul(x[s, :, :], x[s, :, :], scale)
                    T.set_flag('v', 'mte3', s + 1)

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(x[s, :, :], Y[row, 0])
                    T.set_flag('mte3', 'mte2', s + 1)

                for s in T.serial(2):
                    T.wait_flag('mte3', 'mte2', s + 1)

    return main
'''

ROOMS = {'contracts': CONTRACT, 'developer': DEVELOPER, 'expert': EXPERT}


def create(name: str, root: Path) -> list[Path]:
    """Writes the three files below `root`/ops; all of them or none."""
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower() or name.startswith('_'):
        raise EnvironmentError_(f'{name!r} cannot name an operator', why='it becomes a module and a function',
                                instead='lower case letters, digits and _')
    folders = {room: root / 'ops' / room for room in ROOMS}
    for room, folder in folders.items():
        if not folder.is_dir():
            raise EnvironmentError_(f'no folder {str(folder)!r}', instead='run it in the folder that holds `ops`')
        taken = [p for p in (folder / f'{name}.py', folder / name) if p.exists()]
        if taken:
            raise EnvironmentError_(f'{taken[0]} exists', why='nothing is overwritten', instead='another name')
    written = []
    for room, text in ROOMS.items():
        path = folders[room] / f'{name}.py'
        path.write_text(text.replace('@NAME@', name).replace('@UPPER@', name.upper()), encoding='utf-8')
        written.append(path)
    return written
