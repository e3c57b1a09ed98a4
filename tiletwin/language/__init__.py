"""The dialect: `import tiletwin.language as T` gives every name a kernel may use, and no other.

Where the installed tilelang is the Ascend fork, this is the fork's own `tilelang.language`: kernel files are the same on both.
"""

from __future__ import annotations

import sys

from ..installed import FORK, tilelang_kind
from ..npu_guard import guard

guard()

# ruff: noqa: E402
if tilelang_kind() == FORK:
    import tilelang.language

    sys.modules[__name__] = tilelang.language
else:
    import tilelang  # noqa: F401  (puts the tvm it ships on the import path)

    from . import tile
    from .absent import missing
    from .alloc import alloc_fragment, alloc_L0A, alloc_L0B, alloc_L0C, alloc_L1, alloc_shared, alloc_ub, alloc_var
    from .cube import gemm_v0, mma, set_deq_scale
    from .debug import dump_tensor, printf
    from .kernel import Kernel, Scope, shmem_get_nbi, shmem_put_nbi, shmem_ub_get_nbi, shmem_ub_put_nbi, use_swizzle
    from .layout import annotate_address, annotate_layout, reinterpretcast, reshape, view
    from .loops import Parallel, Persistent, Pipelined, loop_break, serial, unroll
    from .movement import copy
    from .entry import PrimFunc, macro, prim_func, program_of
    from .reductions import reduce, reduce_max, reduce_min, reduce_sum
    from .scalar import *  # noqa: F403
    from .scalar import __all__ as _SCALAR
    from .sync import barrier_all, clear_flag, init_flag, pipe_barrier, set_cross_flag, set_flag, sync_all, wait_cross_flag, wait_flag

    __all__ = [
        'Kernel', 'Parallel', 'Persistent', 'Pipelined', 'PrimFunc', 'Scope', 'alloc_L0A', 'alloc_L0B', 'alloc_L0C', 'alloc_L1', 'alloc_fragment',
        'alloc_shared',
        'alloc_ub', 'alloc_var', 'annotate_address', 'annotate_layout', 'barrier_all', 'clear_flag', 'copy', 'dump_tensor', 'gemm_v0', 'init_flag',
        'loop_break', 'macro',
        'mma', 'pipe_barrier', 'prim_func', 'printf', 'program_of', 'reduce', 'reduce_max', 'reduce_min', 'reduce_sum', 'reinterpretcast', 'reshape',
        'serial',
        'set_cross_flag', 'set_deq_scale', 'set_flag', 'shmem_get_nbi', 'shmem_put_nbi', 'shmem_ub_get_nbi', 'shmem_ub_put_nbi', 'sync_all', 'tile',
        'unroll', 'use_swizzle',
        'view', 'wait_cross_flag', 'wait_flag', *_SCALAR,
    ]


def __getattr__(name: str):
    return missing(name)
