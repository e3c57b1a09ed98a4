"""Argument forms of the fork's names (dialect 2.1, 3.1, 4, 5, 6.1, 7, 12.8).

A `/` closes the arguments of which only the order is known: they are given by position.
"""

from __future__ import annotations

import ast
import functools
import inspect
from typing import Any, Iterator

from .finding import Lint
from .source import Kernel

# Names, then the arguments they take.
LANGUAGE = '''
Kernel(*blocks, threads=None, is_cpu=False, prelude=None, is_npu=False, pipeline=False)
Scope(name)
If(condition)
Then Else()
serial unroll vectorized(start, stop=None, *, annotations=None)
Parallel(*extents, coalesced_width=None)
grid(*extents)
Pipelined(start, stop=None, num_stages=0, order=None, stage=None, sync=None, group=None, cross_interval=1)
Persistent(domain, wave_size, index, group_size=8)
Tensor Buffer(shape, dtype='float32')
make_tensor(pointer, shape, dtype='float32')
ptr(dtype, storage_scope='global')
symbolic(name, dtype='int32')
alloc_shared(shape, dtype, scope='shared.dyn')
alloc_fragment(shape, dtype, scope='local.fragment')
alloc_ub alloc_L1 alloc_L0A alloc_L0B alloc_L0C(shape, dtype)
annotate_layout annotate_address(map, /)
reshape(src, shape)
view(src, shape=None, dtype=None)
reinterpretcast(dst, src, casttype)
use_swizzle(cid, m, n, k, block_m, block_n, off=1, dir=0, in_loop=False)
copy(src, dst, enable_relu=False, transpose=False, pad_value=None)
gemm_v0(A, B, C, transpose_A=False, transpose_B=False, init=False)
mma(A, B, C, init=False)
set_deq_scale(scale)
set_flag wait_flag(src, dst, eventId)
pipe_barrier(pipe)
barrier_all sync_all loop_break()
set_cross_flag(pipe, flag, mode=2)
wait_cross_flag(flag, pipe='')
init_flag clear_flag(map, /)
reduce_sum reduce_max reduce_min(buffer, out, dim=-1, *args, clear=True, real_shape=None)
printf(fmt, *args)
dump_tensor(tensor, desc, dump_size, shape_info=())
shmem_put_nbi shmem_get_nbi(dst, src, nelems, pe)
shmem_ub_put_nbi(ub, dst, nelems, pe, strelem=0)
shmem_ub_get_nbi(dst_ub, src, nelems, pe)
func_attr(attrs, /)
ceildiv floordiv floormod truncdiv truncmod min max pow And Or(a, b, /)
abs exp log sqrt rsqrt sin cos tanh sigmoid floor ceil round trunc Not(x, /)
if_then_else Select(condition, true_value, false_value, /)
clamp(value, low, high, /)
cast(value, dtype)
Cast reinterpret(dtype, value)
infinity max_value min_value(dtype)
'''
TILE = '''
add sub mul div max min bitwise_and bitwise_or mul_add_dst pow bitwise_xor(dst, src0, src1)
exp ln abs reciprocal sqrt rsqrt relu bitwise_not sin cos(dst, src0)
sigmoid silu transpose atomic_add(dst, src)
round(out, buffer, count)
leaky_relu axpy bitwise_lshift bitwise_rshift(dst, src0, scalar, /)
clamp_max clamp_min(out, buffer, scalar, count, /)
clamp(out, buffer, low, high, count, /)
fill(buffer, value)
clear(buffer)
arith_progression(buffer, first, diff, count, /)
createvecindex(dst, first)
init_sort_buf(buffer, num, rsv)
compare(dst, src0, src1, mode)
select(dst, selMask, src0, src1, selMode)
cast(dst, src, mode, count)
broadcast(dst, src, axis=None)
row_expand_mul row_expand_mul_experiment row_expand_sub_experiment row_expand_div_experiment(dst, src0, src1, tmp=None)
brcb_experiment(dst, src, repeat_times, dst_blk_stride, dst_repeat_stride)
gather(dst, src, src_offset, src_base_addr)
gatherb(dst, src0, offset, repeat_time, dst_blk_stride, dst_rep_stride)
gather_mask(dst, src, pattern, /)
gathermask_experiment(dst, src0, pattern, reduceMode, mask, params, rsvdCnt, /)
sort32(dst, src0, src1)
sort(dst, src, actual_num)
topk(dst, src, K, actual_num)
merge_sort(dst, src0, src1, src2=None, src3=None)
wholereducemax wholereducemin(dst, src, mask, repeattimes, dstrepstride, srcblkstride, srcrepstride, ReduceOrder='ORDER_VALUE_INDEX')
wholereducesum(dst, src, mask, repeattimes, dstrepstride, srcblkstride, srcrepstride)
block_reduce_max block_reduce_min block_reduce_sum(dst, src, repeat, mask, dstRepStride, srcBlkStride, srcRepStride)
bilinear_interpolation(dst, src0, src0_offset, src1, mask, h_repeat, repeat_mode, dst_blk_stride, v_r_offset, v_repeat, /)
sub_experiment(dst, src0, src1, count, /)
abs_experiment reduce_sum_experiment(dst, src, count, /)
mins_experiment(dst, src, scalar, count, /)
reduce_sum_mask_experiment(dst, src, mask, repeatTime, srcRepStride)
fill_experiment(dst, value, mask, repeat, dstBlkStride, dstRepStride, /)
sum_experiment(dst, src, params, /)
datacachecleanandinvalid_experiment(gm, CacheLine, DcciDst, /)
'''


@functools.cache
def signatures() -> dict[str, inspect.Signature]:
    """By name; 'tile.add' for T.tile.add."""
    found = {}
    for prefix, table in (('', LANGUAGE), ('tile.', TILE)):
        for line in table.split('\n'):
            names, bracket, arguments = line.partition('(')
            for name in names.split():
                found[prefix + name] = _signature(bracket + arguments)
    return found


def _signature(text: str) -> inspect.Signature:
    given = ast.parse(f'def f{text}: pass').body[0].args
    kinds = inspect.Parameter
    positional = [(a, kinds.POSITIONAL_ONLY) for a in given.posonlyargs] + [(a, kinds.POSITIONAL_OR_KEYWORD) for a in given.args]
    defaults = [kinds.empty] * (len(positional) - len(given.defaults)) + [ast.literal_eval(d) for d in given.defaults]
    found = [kinds(a.arg, kind, default=d) for (a, kind), d in zip(positional, defaults)]
    found += [kinds(given.vararg.arg, kinds.VAR_POSITIONAL)] if given.vararg else []
    found += [kinds(a.arg, kinds.KEYWORD_ONLY, default=ast.literal_eval(d)) for a, d in zip(given.kwonlyargs, given.kw_defaults)]
    return inspect.Signature(found)


def bound(kernel: Kernel, call: ast.Call) -> dict[str, Any] | None:
    """Arguments of a call by the fork's parameter names, as syntax; None for a name without a known form or a call with stars."""
    form = signatures().get(kernel.word(call.func))
    if form is None or any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        return None
    return dict(form.bind(*call.args, **{k.arg: k.value for k in call.keywords}).arguments)


def check(kernel: Kernel) -> Iterator[Lint]:
    """Every call of the dialect against the arguments the fork takes."""
    for call in kernel.calls():
        word = kernel.word(call.func)
        if word == 'serial' and (len(call.args) > 2 or any(k.arg == 'step' for k in call.keywords)):
            continue  # F.loop says what to write instead of a step
        try:
            bound(kernel, call)
        except TypeError as problem:
            yield Lint(kernel.file, call.lineno, 'F.arguments', f'T.{word}: {problem}', 'the fork raises a TypeError here',
                       f'T.{word}{signatures()[word]}')
