"""Names of other tile languages that this dialect does not have, and what to write instead."""

from __future__ import annotations

import difflib
import sys
from typing import NoReturn

from ..errors import DialectNameError

_GPU = 'a name of the GPU dialect'
_REMOVED = {
    'alloc_local': ('removed: the vector cores have no per-thread registers to allocate', 'T.alloc_ub for a tile, T.alloc_var for one scalar'),
    'alloc_global': ('GM tensors belong to the caller', 'a T.Tensor parameter listed in workspace_idx'),
    'gemm': ('T.gemm is the GPU front end', 'T.gemm_v0(A, B, C, init=...), or T.mma on L0 tiles'),
    'gemm_v1': ('registered in the backend without a front-end function', 'T.gemm_v0'),
    'fill': ('vector operations live in T.tile', 'T.tile.fill(buffer, value)'),
    'clear': ('vector operations live in T.tile', 'T.tile.clear(buffer)'),
    'dynamic': ('this dialect spells it symbolic', 'T.symbolic("m")'),
    'dyn': ('this dialect spells it symbolic', 'T.symbolic("m")'),
    'atomic_add': (_GPU, 'T.tile.atomic_add(dst, src)'),
    'atomic_addx2': (_GPU, 'T.tile.atomic_add(dst, src)'),
    'atomic_addx4': (_GPU, 'T.tile.atomic_add(dst, src)'),
    'print': ('the GPU debug print is not generated here', 'T.printf or T.dump_tensor'),
    'reduce_abssum': (_GPU, 'T.tile.abs and T.reduce_sum'),
    'reduce_absmax': (_GPU, 'T.tile.abs and T.reduce_max'),
    'cumsum': (_GPU, 'a serial loop'),
    'any_of': (_GPU, 'T.tile.compare and T.reduce_max'),
    'all_of': (_GPU, 'T.tile.compare and T.reduce_min'),
    'rs': ('there is no resource scope of this name', 'T.Scope("C") or T.Scope("V")'),
    'Cube': ('a name of the Ascend 950 dialect', 'T.Scope("C")'),
    'Vector': ('a name of the Ascend 950 dialect', 'T.Scope("V")'),
    'ws': (_GPU, 'T.Scope("C") or T.Scope("V")'),
    'WarpSpecialize': (_GPU, 'T.Scope("C") or T.Scope("V")'),
    'empty': ('a kernel does not return tensors', 'a T.Tensor parameter listed in out_idx'),
    'sync_threads': (_GPU, 'T.barrier_all()'),
    'continue_loop': ('loops have no continue', 'an if around the rest of the body'),
    'thread_binding': (_GPU, 'T.Kernel(n, is_npu=True) as (cid, vid)'),
    'dp4a': (_GPU, 'T.gemm_v0 on int8 tiles'),
    'c2d_im2col': (_GPU, 'a loop of T.copy'),
    'mma_v0': ('no such operation', 'T.mma'),
}


def missing(name: str) -> NoReturn:
    if name.startswith('__'):
        raise AttributeError(name)
    module = sys.modules[__package__]
    if name in _REMOVED:
        why, instead = _REMOVED[name]
    elif name in module.tile.__all__:
        why, instead = 'vector operations live in T.tile', f'T.tile.{name}'
    else:
        near = difflib.get_close_matches(name, [*module.__all__, *(f'tile.{n}' for n in module.tile.__all__)], 3)
        why, instead = 'the dialect has no name of this spelling', ', '.join(f'T.{n}' for n in near)
    from .where import here

    raise DialectNameError(f'T.{name} is not part of the dialect', where=here(), why=why, instead=instead)
