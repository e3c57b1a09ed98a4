"""The kernel frame, the core scopes and the block order."""

from __future__ import annotations

from contextlib import contextmanager

from tvm import tirx
from tvm.script.ir_builder import tirx as tb

from ..errors import DialectAssertionError, DialectError, DialectTypeError, UnsupportedError
from .carrier import KERNEL, SCOPE
from .leniency import doubt
from .where import check, fail, here


class KernelFrame:
    """What `with T.Kernel(...)` opens; a frame of the builder only."""

    def __init__(self, blocks, form: str):
        self.blocks, self.form, self.span = blocks, form, here()

    @contextmanager
    def enter(self, builder):
        check(builder.kernels == 0, DialectError, 'a second T.Kernel in one prim_func', 'a prim_func is one launch', 'a second prim_func')
        builder.kernels += 1
        cid, vid = builder.fresh((tirx.Var('cid', 'int32'), tirx.Var('vid', 'int32')))
        blocks = self.blocks if isinstance(self.blocks, tirx.PrimExpr) else tirx.const(self.blocks, 'int32')
        with builder.with_frame(tb.attr({'cid': cid, 'vid': vid, 'form': self.form}, KERNEL, blocks)):
            yield (cid, vid) if self.form == 'cid_vid' else cid

    def __enter__(self):
        fail(DialectError, 'T.Kernel outside a prim_func', 'the kernel frame is traced', '@T.prim_func on the function around it')

    def __exit__(self, *exc):
        return False


def Kernel(*blocks, threads=None, is_cpu=False, prelude=None, is_npu=False, pipeline=False) -> KernelFrame:
    """One launch of `blocks` blocks; `as (cid, vid)`, or `as cid` when `threads` is 1 or 2."""
    check(is_npu and not is_cpu, DialectError, 'T.Kernel without is_npu=True', 'only NPU kernels exist here',
          'T.Kernel(n, is_npu=True) as (cid, vid)')
    check(len(blocks) == 1, DialectAssertionError, f'NPU kernel must have exactly one block dimension, but got {len(blocks)}',
          'cores are numbered linearly', 'T.Kernel(m * n, is_npu=True) and cid // n, cid % n')
    count = blocks[0]
    check(isinstance(count, (int, tirx.PrimExpr)) and not isinstance(count, bool), DialectTypeError, f'the block count is {count!r}',
          'it must be an integer expression')
    if isinstance(count, (int, tirx.IntImm)):
        count = int(count)
        check(count > 0, DialectError, f'a launch of {count} blocks', 'at least one block runs')
    if isinstance(threads, (list, tuple)):
        check(len(threads) == 1, DialectAssertionError, f'NPU kernel threads must be 1 or 2, but got {threads!r}', instead='threads=1 or threads=2')
        threads = threads[0]
    if threads is None:
        return KernelFrame(count, 'cid_vid')
    check(isinstance(threads, int) and not isinstance(threads, bool), DialectTypeError, f'NPU kernel threads must be 1 or 2, but got {threads!r}')
    check(threads in (1, 2), DialectAssertionError, f'NPU kernel threads must be 1 or 2, but got {threads}',
          'a block has one cube core and one or two vector cores',
          'threads=1 or threads=2')
    return KernelFrame(count, f'threads{threads}')


def Scope(name: str):
    """`with T.Scope('C')`: the cube core only; `with T.Scope('V')`: the vector cores only."""
    doubt(name in ('C', 'V'), DialectError, f'T.Scope({name!r})', 'the compiler takes every string but "V" for the cube core',
          'T.Scope("C") or T.Scope("V")')
    return tb.attr('scope', SCOPE, tirx.StringImm('V' if name == 'V' else 'C'))


def use_swizzle(cid, m, n, k, block_m, block_n, off=1, dir=0, in_loop=False):
    """The tile a block works on, in an order that keeps neighbouring blocks on neighbouring tiles (dialect 2.3)."""
    for label, value in (('m', m), ('n', n), ('block_m', block_m), ('block_n', block_n), ('off', off), ('dir', dir)):
        check(isinstance(value, int), DialectAssertionError, f'use_swizzle needs a Python int for {label}', 'the order is a template argument')
    check(m % block_m == 0 and n % block_n == 0, DialectAssertionError, f'use_swizzle: {m}x{n} is not a whole number of {block_m}x{block_n} tiles',
          'm % block_m == 0 and n % block_n == 0')
    check(dir in (0, 1) and off >= 1, DialectError, f'use_swizzle(off={off}, dir={dir})',
          'direction is 0 (rows) or 1 (columns), the group has at least one row')
    return tirx.call_extern('int32', 'swizzle', cid, m // block_m, n // block_n, off, dir)


def refuse_shmem(name: str):
    def refuse(*args, **kwargs):
        fail(UnsupportedError, f'T.{name} needs the vendor SHMEM runtime', 'transfers to the memory of another chip are not modelled',
             'a kernel per chip, and host-side communication')

    refuse.__name__ = name
    return refuse


shmem_put_nbi = refuse_shmem('shmem_put_nbi')
shmem_get_nbi = refuse_shmem('shmem_get_nbi')
shmem_ub_put_nbi = refuse_shmem('shmem_ub_put_nbi')
shmem_ub_get_nbi = refuse_shmem('shmem_ub_get_nbi')
