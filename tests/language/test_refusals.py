"""What the dialect does not take is refused where it is written: kind of error, text, and the user's line."""

import re

import pytest

from tiletwin import errors

# statement -> (Python exception it also is, text it holds)
CASES = {
    # kernel frame and allocation
    'T.alloc_local((8,), "float32")': (AttributeError, 'removed'),
    'T.gemm(l1, l1t, lc)': (AttributeError, 'T.gemm_v0'),
    'T.fill(u, 0.0)': (AttributeError, 'T.tile.fill'),
    'T.clear(u)': (AttributeError, 'T.tile.clear'),
    'T.add(u, u, u)': (AttributeError, 'T.tile.add'),
    'T.dynamic("n")': (AttributeError, 'T.symbolic'),
    'T.atomic_add(A, u)': (AttributeError, 'T.tile.atomic_add'),
    'T.alloc_UB((8,), "float32")': (AttributeError, 'T.alloc_ub'),
    'T.tile.log(u, u)': (AttributeError, 'ln'),
    'T.tile.reduce_maxx(u, u)': (AttributeError, 'no vector operation'),
    'x = T.alloc_ub((p, 64), "float32")': (ValueError, 'not a compile-time constant'),
    'x = T.alloc_ub((0, 64), "float32")': (ValueError, 'not positive'),
    'x = T.alloc_ub((8, 64), "float64")': (ValueError, 'unknown element type'),
    'x = T.alloc_ub("64", "float32")': (ValueError, 'not a compile-time constant'),
    'x = T.alloc_var("int32", 1, init=2)': (TypeError, 'Initializer specified multiple times in alloc_var.'),
    'x = T.alloc_var("int32", 1, 2)': (TypeError, 'Scope must be provided as a string in alloc_var.'),
    'x = T.alloc_var("int32", 1, "local.var", 3)': (TypeError, 'alloc_var expected at most 3 positional arguments'),
    'x = T.alloc_var("int32", scope=3)': (TypeError, 'Scope must be provided as a string in alloc_var.'),
    'u = T.alloc_ub((8, 64), "float32")': (ValueError, 'Duplicate buffer name found: u'),
    'with T.Scope("X"):\n    T.barrier_all()': (ValueError, "T.Scope('X')"),
    'with T.Kernel(4, is_npu=True) as (a, b):\n    T.barrier_all()': (ValueError, 'a second T.Kernel'),
    'x = T.use_swizzle(cid, 100, 64, 64, 64, 64)': (AssertionError, 'not a whole number'),
    # copy
    'T.copy(A[0, 0], B[0, 0, 0, 0])': (AssertionError, "Can't deduce copy extents from args"),
    'T.copy(u, v)': (ValueError, 'StructuralEqual check failed'),
    'T.copy(u, pairs)': (ValueError, 'whole buffers of different shape'),
    'T.copy(A[0:32, 0:64], lc)': (errors.PathError, 'Unsupported scope: src = GM (A), dst = L0C (lc)'),
    'T.copy(l1, h)': (errors.PathError, 'Unsupported scope'),
    'T.copy(A, A)': (errors.PathError, 'Unsupported scope'),
    'T.copy(A[0, 0], u, transpose=True)': (ValueError, 'transpose on a copy GM -> UB has no effect'),
    'T.copy(u, A[0, 0], enable_relu=True)': (ValueError, 'enable_relu'),
    'T.copy(H[0:32, :], l1, pad_value=0.0)': (ValueError, 'pad_value'),
    'T.copy(u, 3)': (TypeError, 'must be a tensor'),
    'T.copy(u, w, transpose=1)': (TypeError, 'transpose must be True or False'),
    'T.copy(A[0:64:2, 0:64], u)': (ValueError, 'step'),
    'T.copy(A[3], v)': (IndexError, '2-dimensional'),
    # atomic add
    'T.tile.atomic_add(u, w)': (ValueError, 'T.tile.atomic_add V1 only supports local tensor -> GM atomic add. requires global dst'),
    'T.tile.atomic_add(H[0:32, :], l1)': (ValueError, 'requires UB/shared or L0C'),
    'T.tile.atomic_add(H[0:32, :], u)': (TypeError, 'requires src and dst dtype to match'),
    'T.tile.atomic_add(A[0, 0], 1.0)': (TypeError, 'T.tile.atomic_add V1 only supports'),
    'T.tile.atomic_add(B[0, 0, 0, 0], u)': (ValueError, 'ranks differ'),
    # cube
    'T.gemm_v0(l1, l1, lc)': (AssertionError, 'T.gemm K shape check failed: K_A = 64, K_B = 32'),
    'T.mma(la, la, lc)': (TypeError, 'must be in L0B'),
    'T.gemm_v0(la, l1t, lc)': (TypeError, 'must be in L1'),
    'T.gemm_v0(l1s, l1t, lc)': (AssertionError, 'current only support A as a 2D or higher-order tensor'),
    'T.gemm_v0(l1t, l1, lc)': (ValueError, 'the product is 64x64 but C is 32x32'),
    'x = l1s[0, :, :]\nT.gemm_v0(x, l1t, lc)': (ValueError, 'takes the whole buffer behind a named slice'),
    # vector operations
    'T.tile.add(u, w, v)': (AssertionError, 'size must be same'),
    'T.tile.add(u, v, w)': (AssertionError, 'size must be same'),
    'T.tile.exp(u, v)': (AssertionError, 'size must be same'),
    'T.tile.add(u, l1, 1.0)': (TypeError, 'must be in UB'),
    'T.tile.add(u, A, 1.0)': (TypeError, 'must be in UB'),
    'T.tile.add(u, u[0, 0], 1.0)': (TypeError, 'must be a buffer or a slice'),
    'T.tile.add(u, w, u[2, 3])': (ValueError, 'keeps only the first index'),
    'T.tile.add(u, w, I[2])': (TypeError, 'is in GM'),
    'T.tile.add(u, w, n32[2])': (TypeError, 'Type mismatch between'),
    'T.tile.mul(h, u, 2.0)': (TypeError, 'Type mismatch between'),
    'T.tile.bitwise_and(i16, i16, 3)': (ValueError, 'no scalar form'),
    'T.tile.add(u, w, "x")': (TypeError, 'must be a number'),
    'T.tile.compare(mask, u, 0, "GT")': (TypeError, '0.0'),
    'T.tile.compare(mask, u, w, "GTE")': (AssertionError, 'GTE'),
    'T.tile.compare(u, u, w, "GT")': (TypeError, 'packed bit mask'),
    'T.tile.compare(mask[0:8], u, w, "GT")': (AssertionError, 'bytes of mask'),
    'T.tile.select(r, mask, u, 1, "VSEL_TENSOR_SCALAR_MODE")': (TypeError, '1.0'),
    'T.tile.select(r, mask, u, c[0], "VSEL_TENSOR_SCALAR_MODE")': (TypeError, 'src1'),
    'T.tile.select(r, mask, u, w, "VSEL_TENSOR_SCALAR_MODE")': (ValueError, 'takes a scalar'),
    'T.tile.select(r, mask, u, 1.0, "VSEL_CMPMASK_SPR")': (ValueError, 'takes a tile'),
    'T.tile.select(v, mask, u[0:1, :], w, "VSEL_CMPMASK_SPR")': (AssertionError, 'must be same'),
    'T.tile.select(r, mask, u, w, "SPR")': (AssertionError, 'SPR'),
    'T.tile.cast(h, u, "CAST_UP", 64)': (AssertionError, 'CAST_UP'),
    'T.tile.cast(h, u, "CAST_NONE")': (TypeError, 'count'),
    'T.tile.broadcast(u, pairs)': (ValueError, 'Cannot broadcast 1D src'),
    'T.tile.broadcast(v, u)': (ValueError, 'Dimension mismatch'),
    'T.tile.broadcast(c, v)': (ValueError, 'Broadcast dimension mismatch'),
    'T.tile.broadcast(u, u[0:2, :], axis=0)': (ValueError, 'Shapes must match when src[axis] != 1'),
    'T.tile.broadcast(u, v, axis=2)': (ValueError, 'axis'),
    'T.tile.gather_mask(v, u, n32)': (AssertionError, 'src1Pattern dtype must be uint32'),
    'T.tile.gather_mask(v, u, "P0110")': (ValueError, 'P0110'),
    'T.tile.gather(v, u, v, 0)': (TypeError, 'byte addresses'),
    'T.tile.topk(pairs, u, 4, 64)': (ValueError, 'one-dimensional'),
    'T.tile.sort(c, v, 64)': (ValueError, '128 are written'),
    'T.tile.merge_sort(pairs, c, c, src3=c)': (ValueError, 'src3 without src2'),
    'T.tile.transpose(u, u3)': (ValueError, '3 dimensions'),
    'T.tile.brcb_experiment(u, c, 8, 1, 8)': (AssertionError, '64 are read'),
    # reductions
    'T.reduce_sum(u, pairs, dim=-1)': (ValueError, 'Invalid reduce output shape for Ascend fast-path reduce'),
    'T.reduce_sum(u, c, dim=3)': (ValueError, 'Ascend reduce only supports axis'),
    'T.reduce_sum(u, c, dim="x")': (TypeError, 'must be an int'),
    'T.reduce_sum(u, c, -1, [64, 64])': (ValueError, 'real_shape[0] exceeds buffer extent'),
    'T.reduce_sum(u, c, -1, True, clear=True)': (TypeError, 'clear given twice'),
    'T.reduce_sum(u, c, -1, 3)': (TypeError, 'positional argument 3'),
    'T.reduce_sum(u, c, -1, clear=1)': (TypeError, 'clear must be bool'),
    'T.reduce_sum(u, c, -1, real_shape=[1, True])': (TypeError, 'real_shape[1]'),
    'T.reduce_sum(h, c, dim=-1)': (TypeError, 'one element type'),
    'T.reduce(u, c, "reduce_prod", -1)': (ValueError, 'reduce_prod'),
    # synchronisation and debugging
    'T.set_flag("mte4", "v", 0)': (ValueError, "no pipe 'mte4'"),
    'T.set_flag("v", "v", 0)': (ValueError, 'T.pipe_barrier("v")'),
    'T.pipe_barrier("x")': (ValueError, 'no pipe'),
    'T.set_cross_flag("fix", 0, mode=3)': (ValueError, 'mode'),
    'T.dump_tensor(u, -1, 8)': (ValueError, 'desc must be uint32'),
    'T.dump_tensor(u, 1.5, 8)': (TypeError, 'desc must be uint32'),
    'T.shmem_put_nbi(A, A, 8, 1)': (errors.UnsupportedError, 'SHMEM'),
    # views and annotations
    'T.annotate_address({u: 16})': (ValueError, 'not a multiple of 32'),
    'T.annotate_address({u: "0"})': (TypeError, 'must be an int'),
    'T.annotate_address({A: 0})': (TypeError, 'not an on-chip buffer'),
    'T.annotate_layout({u: make_zn_layout(u)})': (ValueError, 'only L1 tiles'),
    'T.annotate_layout({l1: make_zn_layout(l1t)})': (ValueError, 'made for shape'),
    'T.annotate_layout({l1: 3})': (TypeError, 'is no layout'),
    'T.tile.fill(n32, 0)\nT.reinterpretcast(n32, u, "int32_t")': (ValueError, 'used before reinterpretcast'),
    'T.reinterpretcast(l1, u, "half")': (ValueError, 'reinterpretcast from UB to L1'),
    'x = T.view(u[0:4, :], (256,))': (TypeError, 'whole buffer'),
    # loops and statements
    'for i in T.serial(0, 8, 2):\n    T.barrier_all()': (TypeError, 'start and a stop'),
    'for i in T.Pipelined(4, num_stages=-1):\n    T.barrier_all()': (ValueError, 'num_stages'),
    'for i, j in T.Persistent([4, 6], 4, cid, 4):\n    T.barrier_all()': (ValueError, 'not a multiple of group_size'),
    'for i in range(4):\n    if i > p:\n        break': (ValueError, 'T.loop_break()'),
    'for i in range(4):\n    if i > p:\n        continue': (ValueError, '`continue`'),
    'for i in range(4):\n    T.barrier_all()\nelse:\n    T.barrier_all()': (ValueError, 'else'),
    'x = T.copy(u, w)': (ValueError, 'tile instructions return nothing'),
    'u[0:4, :] = 1.0': (TypeError, 'assignment to a slice'),
    'u[0] = 1.0': (IndexError, '2 dimensions but 1 indices'),
    'u += 1.0': (TypeError, 'T.tile.add'),
    'p.x = 3': (ValueError, 'attribute'),
    'assert p > 3': (ValueError, 'assert'),
    'assert 1 > 3, "never"': (AssertionError, 'never'),
    'try:\n    pass\nexcept ValueError:\n    pass': (ValueError, 'try'),
    'return 3': (ValueError, 'return'),
    'def g():\n    pass': (ValueError, 'function g inside a kernel'),
    'global z\nz = 1': (ValueError, 'global'),
    'helper(u)': (ValueError, 'would be lost'),
}
HELPER = 'def helper(buffer):\n    T.tile.fill(buffer, 1.0)\n'


@pytest.mark.parametrize('statement', CASES)
def test_refused_with_kind_text_and_line(source, statement):
    also, text = CASES[statement]
    with pytest.raises(errors.TileTwinError) as caught:
        source.kernel('T.barrier_all()\n' + statement, before=HELPER)
    error = caught.value
    assert isinstance(error, also), type(error)
    assert text in str(error)
    assert error.where is not None and error.where.file.startswith(str(source.folder))
    lines = error.where.excerpt()
    assert any(lines == line.strip() for line in statement.splitlines()), f'points at {lines!r}'


def test_every_refusal_says_why_or_what_to_write(source):
    bare = []
    for statement in CASES:
        with pytest.raises(errors.TileTwinError) as caught:
            source.kernel(statement, before=HELPER)
        if not (caught.value.why or caught.value.instead):
            bare.append(statement)
    assert len(bare) <= 12, bare


FRAMES = {
    'T.Kernel(4) as (cid, vid)': (ValueError, 'is_npu=True'),
    'T.Kernel(4, 4, is_npu=True) as (cid, vid)': (AssertionError, 'NPU kernel must have exactly one block dimension'),
    'T.Kernel(is_npu=True) as (cid, vid)': (AssertionError, 'NPU kernel must have exactly one block dimension'),
    'T.Kernel(4, threads=3, is_npu=True) as cid': (AssertionError, 'NPU kernel threads must be 1 or 2, but got 3'),
    'T.Kernel(4, threads=[1, 2], is_npu=True) as cid': (AssertionError, 'NPU kernel threads must be 1 or 2'),
    'T.Kernel(4, threads="2", is_npu=True) as cid': (TypeError, 'NPU kernel threads must be 1 or 2'),
    'T.Kernel(0, is_npu=True) as (cid, vid)': (ValueError, '0 blocks'),
    'T.Kernel(1.5, is_npu=True) as (cid, vid)': (TypeError, 'integer expression'),
}


@pytest.mark.parametrize('frame', FRAMES)
def test_frames_refused(source, frame):
    also, text = FRAMES[frame]
    with pytest.raises(also, match=re.escape(text)):
        source.kernel('T.barrier_all()', frame=frame, allocations='')


IN_FRAME = '    with T.Kernel(1, is_npu=True) as (c, v):\n        '
ONE = '@T.prim_func\ndef main(A: T.Tensor((8,), "int32")):\n'
ALLOCATING = '@T.macro\ndef m(x):\n    t = T.alloc_ub((8,), "int32")\n    T.copy(x, t)\n'
POSTPONED = ('from __future__ import annotations\ndef f(n):\n    @T.prim_func\n    def main(A: T.Tensor((nowhere,), "int32")):\n'
             '        with T.Kernel(1, is_npu=True) as (c, v):\n            pass\n    return main\nf(3)\n')
FUNCTIONS = {
    'no kernel frame': (f'{ONE}    A[0] = 1\n', ValueError, 'no T.Kernel'),
    'code before the frame': (f'{ONE}    T.barrier_all()\n{IN_FRAME}pass\n', ValueError, 'outside T.Kernel'),
    'no annotation': (f'@T.prim_func\ndef main(A):\n{IN_FRAME}pass\n', TypeError, 'not annotated'),
    'a default': (f'@T.prim_func\ndef main(A: T.int32 = 3):\n{IN_FRAME}pass\n', TypeError, 'parameter `A`'),
    'a bad extent': (f'@T.prim_func\ndef main(A: T.Tensor((8.5,), "int32")):\n{IN_FRAME}pass\n', TypeError, '8.5'),
    'outside a kernel': ('T.copy(None, None)\n', TypeError, 'must be a tensor'),
    'options': ('@T.prim_func(private=True)\ndef main(A: T.int32):\n    pass\n', TypeError, 'private'),
    'a macro that calls itself': (f'@T.macro\ndef m(x):\n    m(x)\n{ONE}{IN_FRAME}m(A)\n', AssertionError, 'calls itself'),
    'a macro that allocates, twice': (f'{ALLOCATING}{ONE}{IN_FRAME}m(A)\n        m(A)\n', ValueError, 'Duplicate buffer name found: t'),
    'a postponed annotation': (POSTPONED, ValueError, 'postponed annotation'),
}


@pytest.mark.parametrize('case', FUNCTIONS)
def test_functions_refused(source, case):
    text, also, message = FUNCTIONS[case]
    future, rest = ('from __future__ import annotations\n', text.split('\n', 1)[1]) if text.startswith('from __future__') else ('', text)
    with pytest.raises(also, match=re.escape(message)) as caught:
        source.module(f'{future}import tiletwin.language as T\n{rest}')
    assert caught.value.where is not None


def test_calling_a_prim_func_says_to_compile_it(source):
    module = source.module(f'import tiletwin.language as T\n{ONE}{IN_FRAME}A[0] = 1\n')
    with pytest.raises(errors.DialectError, match='compiled first'):
        module.main(None)


OUTSIDE = ["T.Tensor((8,), 'float64')", "T.Tensor((0,), 'float32')", 'T.barrier_all()', "T.alloc_ub((8,), 'float32')", "T.infinity('int32')",
           'T.fill', 'T.ceildiv(4, 0)']


@pytest.mark.parametrize('statement', OUTSIDE)
def test_outside_a_kernel_the_refusal_points_at_the_caller(source, statement):
    with pytest.raises(errors.TileTwinError) as caught:
        source.module(f'import tiletwin.language as T\n{statement}\n')
    assert caught.value.where.line == 2 and caught.value.where.excerpt() == statement
