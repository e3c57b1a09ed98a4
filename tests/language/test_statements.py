"""Every name of the dialect, in every form it takes, becomes the instruction the dialect page says."""

import pytest

CASES = {
    # element-wise binary: tensor, region, number, expression, element and variable operands (5.3.1)
    'T.tile.add(r, u, w)': 'add UB r, UB u, UB w',
    'T.tile.sub(r[1, :], u[2, :], v)': 'sub UB r[1:+1, 0:+64], UB u[2:+1, 0:+64], UB v',
    'T.tile.mul(r, u, 2.0)': 'muls UB r, UB u, 2.0',
    'T.tile.mul(r, u, 2)': 'muls UB r, UB u, 2',
    'T.tile.div(r, u, q)': 'divs UB r, UB u, q',
    'T.tile.div(r, u, w)': 'div UB r, UB u, UB w',
    'T.tile.max(r, u, p + 1)': 'maxs UB r, UB u, p+1',
    'T.tile.max(r, u, w)': 'max UB r, UB u, UB w',
    'T.tile.min(r, u, c[3])': 'mins UB r, UB u, UB c[3]',
    'T.tile.sub(r, u, c[p])': 'subs UB r, UB u, UB c[p]',
    'T.tile.add(n32, n32, var)': 'adds UB n32, UB n32, var[0]',
    'T.tile.bitwise_and(i16, i16, i16)': 'bitwise_and UB i16, UB i16, UB i16',
    'T.tile.bitwise_or(i16, i16, i16)': 'bitwise_or UB i16, UB i16, UB i16',
    'T.tile.bitwise_xor(i16, i16, i16)': 'bitwise_xor UB i16, UB i16, UB i16',
    'T.tile.pow(r, u, w)': 'pow UB r, UB u, UB w',
    # unary (5.3.2, 5.3.3)
    **{f'T.tile.{op}(r, u)': f'{op} UB r, UB u' for op in ('exp', 'ln', 'abs', 'reciprocal', 'sqrt', 'rsqrt', 'relu', 'sin', 'cos', 'sigmoid',
                                                           'silu')},
    'T.tile.bitwise_not(i16, i16)': 'bitwise_not UB i16, UB i16',
    'T.tile.round(r, u, 128)': 'round UB r, UB u, 128',
    # scalar operand (5.3.4, 5.3.5)
    'T.tile.leaky_relu(r, u, 0.1)': 'leaky_relu UB r, UB u, 0.1',
    'T.tile.axpy(r, u, c[1])': 'axpy UB r, UB u, UB c[1]',
    'T.tile.bitwise_lshift(n32, n32, 3)': 'bitwise_lshift UB n32, UB n32, 3',
    'T.tile.bitwise_rshift(n32, n32, p)': 'bitwise_rshift UB n32, UB n32, p',
    'T.tile.clamp_max(r, u, 1.0, 64)': 'clamp_max UB r, UB u, 1.0, 64',
    'T.tile.clamp_min(r, u, q, 64)': 'clamp_min UB r, UB u, q, 64',
    'T.tile.clamp(r, u, 0.0, 1.0, 64)': 'clamp UB r, UB u, 0.0, 1.0, 64',
    'T.tile.mul_add_dst(r, u, w)': 'mul_add_dst UB r, UB u, UB w',
    # fill and indices (5.3.6)
    'T.tile.fill(u, 0.5)': 'fill UB u, 0.5',
    'T.tile.fill(u[4:8, :], -T.infinity("float32"))': 'fill UB u[4:+4, 0:+64], -inf',
    'T.tile.clear(u[3, :])': 'fill UB u[3:+1, 0:+64], 0',
    'T.tile.arith_progression(n32, 0, 2, 64)': 'arith_progression UB n32, 0, 2, 64',
    'T.tile.createvecindex(n32, p)': 'createvecindex UB n32, p',
    'T.tile.init_sort_buf(pairs, 64, 0)': 'init_sort_buf UB pairs, 64, 0',
    # compare, select, cast, broadcast (5.3.7 - 5.3.9)
    'T.tile.compare(mask, u, w, "LT")': "compare UB mask, UB u, UB w, 'LT'",
    'T.tile.compare(mask, u, 0.0, "GE")': "compare_scalar UB mask, UB u, 0.0, 'GE'",
    'T.tile.compare(mask, u, T.int32(0), "EQ")': "compare_scalar UB mask, UB u, 0, 'EQ'",
    'T.tile.compare(mask, u, c[2], "NE")': "compare_scalar UB mask, UB u, UB c[2], 'NE'",
    'T.tile.select(r, mask, u, w, "VSEL_CMPMASK_SPR")': "select UB r, UB mask, UB u, UB w, 'VSEL_CMPMASK_SPR'",
    'T.tile.select(r, mask, u, w, "VSEL_TENSOR_TENSOR_MODE")': "select UB r, UB mask, UB u, UB w, 'VSEL_TENSOR_TENSOR_MODE'",
    'T.tile.select(r, mask, u, -1.0, "VSEL_TENSOR_SCALAR_MODE")': "select UB r, UB mask, UB u, -1.0, 'VSEL_TENSOR_SCALAR_MODE'",
    'T.tile.cast(h, u, "CAST_RINT", 2048)': "cast UB h, UB u, 'CAST_RINT', 2048",
    'T.tile.cast(dst=h, src=u, mode="CAST_NONE", count=p)': "cast UB h, UB u, 'CAST_NONE', p",
    'T.tile.broadcast(u, v)': 'broadcast UB u, UB v {axis=0}',
    'T.tile.broadcast(u, c)': 'broadcast UB u, UB c {axis=1}',
    'T.tile.broadcast(u, v, axis=0)': 'broadcast UB u, UB v {axis=0}',
    'T.tile.row_expand_mul(r, u, c)': 'row_expand_mul UB r, UB u, UB c',
    'T.tile.row_expand_sub_experiment(r, u, c, w)': 'row_expand_sub_experiment UB r, UB u, UB c, UB w',
    'T.tile.row_expand_mul_experiment(r, u, c, w)': 'row_expand_mul_experiment UB r, UB u, UB c, UB w',
    'T.tile.row_expand_div_experiment(r, u, c, w)': 'row_expand_div_experiment UB r, UB u, UB c, UB w',
    'T.tile.brcb_experiment(u, v, 8, 1, 8)': 'brcb_experiment UB u, UB v, 8, 1, 8',
    # gather, sort (5.3.10 - 5.3.12)
    'T.tile.gather(v, u, off, 0)': 'gather UB v, UB u, UB off, 0',
    'T.tile.gatherb(v, u, off, 1, 1, 8)': 'gatherb UB v, UB u, UB off, 1, 1, 8',
    'T.tile.gather_mask(c, v, "P0101")': "gather_mask UB c, UB v, 'P0101'",
    'T.tile.gather_mask(v, u, off)': 'gather_mask UB v, UB u, UB off',
    'T.tile.gathermask_experiment(v, u, off, "normal", 64, [1, 1, 8, 8], 0)': "gathermask_experiment UB v, UB u, UB off, 'normal', 64, 1, 1, 8, 8, 0",
    'T.tile.transpose(u, w)': 'transpose UB u, UB w',
    'T.tile.sort32(pairs, v, off)': 'sort32 UB pairs, UB v, UB off',
    'T.tile.sort(pairs, v, 64)': 'sort UB pairs, UB v, 64',
    'T.tile.topk(pairs, v, 8, 64)': 'topk UB pairs, UB v, 8, 64',
    'T.tile.merge_sort(pairs, c, c)': 'merge_sort UB pairs, UB c, UB c',
    'T.tile.merge_sort(pairs, c, c, c, c)': 'merge_sort UB pairs, UB c, UB c, UB c, UB c',
    # raw forms (5.3.13, 5.3.14)
    'T.tile.wholereducemax(v, u, 64, 32, 1, 1, 8)': "wholereducemax UB v, UB u, 64, 32, 1, 1, 8, 'ORDER_VALUE_INDEX'",
    'T.tile.wholereducemin(v, u, 64, 32, 1, 1, 8, "ORDER_ONLY_VALUE")': "wholereducemin UB v, UB u, 64, 32, 1, 1, 8, 'ORDER_ONLY_VALUE'",
    'T.tile.wholereducesum(v, u, 64, 32, 1, 1, 8)': 'wholereducesum UB v, UB u, 64, 32, 1, 1, 8',
    **{f'T.tile.block_reduce_{k}(v, u, 1, 64, 1, 1, 8)': f'block_reduce_{k} UB v, UB u, 1, 64, 1, 1, 8' for k in ('max', 'min', 'sum')},
    'T.tile.bilinear_interpolation(v, u, off, w, 64, 1, 0, 1, 1, 1)': 'bilinear_interpolation UB v, UB u, UB off, UB w, 64, 1, 0, 1, 1, 1',
    'T.tile.sub_experiment(r, u, w, 100)': 'sub_experiment UB r, UB u, UB w, 100',
    'T.tile.abs_experiment(r, u, 100)': 'abs_experiment UB r, UB u, 100',
    'T.tile.mins_experiment(r, u, 2.0, 100)': 'mins_experiment UB r, UB u, 2.0, 100',
    'T.tile.reduce_sum_experiment(v, u, 100)': 'reduce_sum_experiment UB v, UB u, 100',
    'T.tile.reduce_sum_mask_experiment(v, u, 64, 4, 8)': 'reduce_sum_mask_experiment UB v, UB u, 64, 4, 8',
    'T.tile.fill_experiment(u, 1.0, [255], 4, 1, 8)': 'fill_experiment UB u, 1.0, 255, 4, 1, 8',
    'T.tile.sum_experiment(v, u, [32, 64, 60])': 'sum_experiment UB v, UB u, 32, 64, 60',
    'T.tile.datacachecleanandinvalid_experiment(A, "ENTIRE_DATA_CACHE", "CACHELINE_OUT")':
        "datacachecleanandinvalid_experiment GM A, 'ENTIRE_DATA_CACHE', 'CACHELINE_OUT'",
    # reductions (5.4)
    'T.reduce_sum(u, c, dim=-1)': 'reduce UB c, UB u {M=32, N=64, cols=64, dim=-1, kind=sum}',
    'T.reduce_max(u, v, dim=0)': 'reduce UB v, UB u {M=32, N=64, cols=64, dim=0, kind=max}',
    'T.reduce_min(u, c, -1, False)': 'reduce UB c, UB u {M=32, N=64, clear=False, cols=64, dim=-1, kind=min}',
    'T.reduce_sum(u, c, 1, [16, 0], True)': 'reduce UB c, UB u {M=16, N=64, cols=64, dim=-1, kind=sum, real_shape=[16, 0]}',
    'T.reduce_sum(u, c, dim=-1, real_shape=[p, 64])': 'reduce UB c, UB u {M=p, N=64, cols=64, dim=-1, kind=sum, real_shape=[p, 64]}',
    'T.reduce(u, c, "reduce_max", -1)': 'reduce UB c, UB u {M=32, N=64, cols=64, dim=-1, kind=max}',
    'T.reduce_max(v, c[0:1], dim=0)': 'reduce UB c[0:+1], UB v {M=1, N=64, cols=64, dim=-1, kind=max}',
    'T.reduce_max(u3, c, dim=1)': 'reduce UB c, UB u3 {M=32, N=64, cols=64, dim=-1, kind=max}',
    # movement (4)
    'T.copy(H[0:32, :], l1)': 'copy GM H[0:+32, 0:+64] -> L1 l1[0:+32, 0:+64]',
    'T.copy(l1, la)': 'copy L1 l1[0:+32, 0:+64] -> L0A la[0:+32, 0:+64]',
    'T.copy(l1, lb, transpose=True)': 'copy L1 l1[0:+32, 0:+64] -> L0B lb[0:+64, 0:+32] {transpose=True}',
    'T.copy(lc, A[0, 0], enable_relu=True)': 'copy L0C lc[0:+32, 0:+32] -> GM A[0:+32, 0:+32] {relu=True}',
    'T.copy(A[p, 0], u, pad_value=-1.5)': 'copy GM A[p:+32, 0:+64] -> UB u[0:+32, 0:+64] {pad=-1.5}',
    'T.copy(u, h)': 'copy UB u[0:+32, 0:+64] -> UB h[0:+32, 0:+64]',
    'T.copy(h, l1)': 'copy UB h[0:+32, 0:+64] -> L1 l1[0:+32, 0:+64]',
    'T.copy(l1s[1, 0, 0], la)': 'copy L1 l1s[1:+1, 0:+32, 0:+64] -> L0A la[0:+32, 0:+64]',
    'T.copy(s, u)': 'copy SHARED s[0:+32, 0:+64] -> UB u[0:+32, 0:+64]',
    'T.tile.atomic_add(A[0:32, 0:64], u)': 'atomic_add UB u[0:+32, 0:+64] -> GM A[0:+32, 0:+64]',
    'T.tile.atomic_add(A[p, 0], lc)': 'atomic_add L0C lc[0:+32, 0:+32] -> GM A[p:+32, 0:+32]',
    # cube (5.1, 5.2)
    'T.gemm_v0(l1, l1t, lc, init=True)': 'cube gemm_v0 L1 l1, L1 l1t, L0C lc {K=64, M=32, N=32, init=True}',
    'T.gemm_v0(l1, l1, lc, transpose_B=True)': 'cube gemm_v0 L1 l1, L1 l1, L0C lc {K=64, M=32, N=32, transpose_B=True, init=False}',
    'T.gemm_v0(l1t, l1t, lc, transpose_A=True, init=(p == 0))':
        'cube gemm_v0 L1 l1t, L1 l1t, L0C lc {K=64, M=32, N=32, transpose_A=True, init=p == 0}',
    'T.gemm_v0(l1s[p, :, :], l1t, lc)': 'cube gemm_v0 L1 l1s[p:+1, 0:+32, 0:+64], L1 l1t, L0C lc {K=64, M=32, N=32, init=False}',
    'T.mma(la, lb, lc, init=p > 0)': 'cube mma L0A la, L0B lb, L0C lc {K=64, M=32, N=32, init=p > 0}',
    'T.set_deq_scale(0.5)': 'set_deq_scale 0.5',
    # synchronisation (6.1)
    'T.set_flag("mte2", "V", 3)': 'set_flag MTE2 V 3',
    'T.wait_flag("MTE2", "v", p % 2)': 'wait_flag MTE2 V p%2',
    'T.pipe_barrier("v")': 'pipe_barrier V',
    'T.pipe_barrier("all")': 'pipe_barrier ALL',
    'T.barrier_all()': 'pipe_barrier ALL',
    'T.sync_all()': 'sync_all',
    'T.set_cross_flag("fix", 1)': 'set_cross_flag FIX 1',
    'T.set_cross_flag("MTE3", p, mode=0)': 'set_cross_flag MTE3 p {mode=0}',
    'T.wait_cross_flag(1)': 'wait_cross_flag 1',
    'T.wait_cross_flag(1, "mte2")': 'wait_cross_flag 1 MTE2',
    # debug (5.7) and scalars (5.5, 5.9)
    'T.printf("%d %f\\n", p, u[0, 1])': "printf '%d %f\\n', p, u[0, 1]",
    'T.printf("%p", u)': "printf '%p', UB u",
    'T.dump_tensor(u, 7, 64, (32, 64))': 'dump_tensor UB u, 7, 64 {shape_info=32,64}',
    'I[cid] = p': 'store GM I[cid] = p',
    'u[p, 3] = q * 2.0': 'store UB u[p, 3] = q*2.0',
    'u[0, 0] += 1.0': 'store UB u[0, 0] = u[0, 0]+1.0',
    'var = p': 'store VAR var = p',
    'var += 2': 'store VAR var = var[0]+2',
    'I[0] = T.if_then_else(p > 1, p, 2)': 'store GM I[0] = select(p > 1, p, 2)',
    'I[0] = p if p > 1 else 2': 'store GM I[0] = select(p > 1, p, 2)',
    'I[0] = T.Select(p > 1, p, 2)': 'store GM I[0] = select(p > 1, p, 2)',
    'I[0] = T.min(T.max(p, 0), 7)': 'store GM I[0] = min(max(p, 0), 7)',
    'I[0] = T.clamp(p, 0, 7)': 'store GM I[0] = min(max(p, 0), 7)',
    'I[0] = T.ceildiv(p, 8)': 'store GM I[0] = (p+7)//8',
    'I[0] = T.cast(q, "int32")': "store GM I[0] = cast('int32', q)",
    'I[0] = T.floordiv(p, 4) + p % 3': 'store GM I[0] = p//4+p%3',
    'I[0] = T.truncdiv(p, 4)': 'store GM I[0] = tdiv(p, 4)',
    'I[0] = (p << 2) | (p & 3) ^ 1': 'store GM I[0] = p<<2|p&3^1',
    'I[0] = T.reinterpret("int32", q)': 'store GM I[0] = reinterpret(q)',
    'u[0, 0] = T.exp(q) + T.sqrt(T.abs(q))': 'store UB u[0, 0] = exp(q)+sqrt(abs(q))',
    'u[0, 0] = T.max_value("float32")': 'store UB u[0, 0] = 3.4028234663852886e+38',
}


@pytest.mark.parametrize('statement', CASES)
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_statement_becomes_the_instruction(source, statement):
    assert source.one(statement) == CASES[statement]


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_every_vector_operation_has_a_case(source):
    import tiletwin.language as T

    shown = ' '.join(CASES)
    assert [n for n in T.tile.__all__ if f'T.tile.{n}(' not in shown] == []


BLOCKS = {
    'for k in range(4):\n    T.barrier_all()': ['for k in 0:+4:', '  pipe_barrier ALL'],
    'for k in range(2, 6):\n    T.barrier_all()': ['for k in 2:+4:', '  pipe_barrier ALL'],
    'for k in range(0, 6, 2):\n    I[k] = 0': ['for _tmp in 0:+3:', '  let k: int32 = _tmp*2', '  store GM I[k] = 0'],
    'for k in T.serial(p):\n    T.barrier_all()': ['for k in 0:+p:', '  pipe_barrier ALL'],
    'for k in T.unroll(2):\n    T.barrier_all()': ['for k in 0:+2 unroll:', '  pipe_barrier ALL'],
    'for i, j in T.Parallel(32, 64):\n    u[i, j] = w[i, j] * 2.0': ['for i in 0:+32 parallel:', '  for j in 0:+64 parallel:',
                                                                     '    store UB u[i, j] = w[i, j]*2.0'],
    'for k in T.Pipelined(4, num_stages=2):\n    T.barrier_all()': ['for k in 0:+4 {num_stages=2}:', '  pipe_barrier ALL'],
    'for k in T.Pipelined(1, 4, num_stages=2, order=[0, 1], stage=[0, 1], cross_interval=2):\n    T.barrier_all()':
        ['for k in 1:+3 {num_stages=2, tl_cross_interval=2, tl_pipeline_order=[0, 1], tl_pipeline_stage=[0, 1]}:', '  pipe_barrier ALL'],
    'for k in T.Pipelined(4):\n    T.barrier_all()': ['for k in 0:+4:', '  pipe_barrier ALL'],
    'while var < 4:\n    var += 1': ['while var[0] < 4:', '  store VAR var = var[0]+1'],
    'if p == 1 and q > 0.0:\n    I[0] = 1\nelif not p > 3 or 1 < p <= 9:\n    I[0] = 2\nelse:\n    I[0] = 3':
        ['if p == 1 and q > 0.0:', '  store GM I[0] = 1', 'else:', '  if not p > 3 or p > 1 and p <= 9:', '    store GM I[0] = 2', '  else:',
         '    store GM I[0] = 3'],
    'with T.If(p == 1):\n    with T.Then():\n        I[0] = 1\n    with T.Else():\n        I[0] = 2': ['if p == 1:', '  store GM I[0] = 1', 'else:',
                                                                                                       '  store GM I[0] = 2'],
    'with T.Scope("C"):\n    T.barrier_all()\nwith T.Scope("V"):\n    T.barrier_all()': ['scope C:', '  pipe_barrier ALL', 'scope V:',
                                                                                         '  pipe_barrier ALL'],
    'for k in range(4):\n    if k > p:\n        T.loop_break()\n    T.barrier_all()': ['for k in 0:+4:', '  if k > p:', '    break',
                                                                                       '  pipe_barrier ALL'],
    'T.init_flag({"MTE1": {"MTE2": [0, 1]}})\nT.clear_flag({"MTE1": {"MTE2": 1}})': ['set_flag MTE1 MTE2 0', 'set_flag MTE1 MTE2 1',
                                                                                     'wait_flag MTE1 MTE2 1'],
    'x = p + 1\ny = x * 2\nI[x] = y': ['let x: int32 = p+1', 'let y: int32 = x*2', 'store GM I[x] = y'],
    'a, b = p // 4, p % 4\na, b = b, a\nI[a] = b': ['let a: int32 = p//4', 'let b: int32 = p%4', 'store GM I[b] = a'],
    'x = A[p, 0]\nT.copy(x, u)': ['copy GM A[p:+32, 0:+64] -> UB u[0:+32, 0:+64]'],
    'z = u[1, :]\nT.tile.clear(z)': ['fill UB u[1:+1, 0:+64], 0'],
    'x: T.float32 = p\nu[0, 0] = x': ["let x: float32 = cast('float32', p)", 'store UB u[0, 0] = x'],
    'for b in [u, w]:\n    T.tile.clear(b)': ['fill UB u, 0', 'fill UB w, 0'],
    'i = 4\nfor k in range(2):\n    if True:\n        i = 8\n    else:\n        I[0] = 0\n    I[k] = i': ['for k in 0:+2:', '  store GM I[k] = 8'],
    'x = T.use_swizzle(cid, 256, 128, 64, 64, 64, off=2, dir=1)\nI[0] = x': ['let x: int32 = swizzle(cid, 4, 2, 2, 1)', 'store GM I[0] = x'],
}


@pytest.mark.parametrize('body', BLOCKS)
def test_control_flow_becomes_the_block(source, body):
    assert source.statements(body) == BLOCKS[body]


FRAMES = {
    'T.Kernel(4, is_npu=True) as (cid, vid)': ('4 blocks, cid_vid: cid, vid', 2),
    'T.Kernel(8, is_npu=True) as (bx, _)': ('8 blocks, cid_vid: bx, vid', 2),
    'T.Kernel(4, threads=1, is_npu=True) as cid': ('4 blocks, threads1: cid, vid', 1),
    'T.Kernel(4, threads=2, is_npu=True) as (cid)': ('4 blocks, threads2: cid, vid', 2),
    'T.Kernel(4, threads=[2], is_npu=True) as cid': ('4 blocks, threads2: cid, vid', 2),
    'T.Kernel(4, threads=(1,), is_npu=True) as cid': ('4 blocks, threads1: cid, vid', 1),
    'T.Kernel(T.ceildiv(p, 128), is_npu=True) as (cid, vid)': ('(p+127)//128 blocks, cid_vid: cid, vid', 2),
}


@pytest.mark.parametrize('frame', FRAMES)
def test_kernel_frames(source, frame):
    from tiletwin.ir.printer import text

    program = source.kernel('T.barrier_all()', frame=frame)
    line, vectors = FRAMES[frame]
    assert text(program).splitlines()[1] == f'launch {line}'
    assert program.launch.vectors == vectors


ALLOCATED = {
    "x = T.alloc_ub((4, 64), 'float16')": 'buffer UB x float16[4, 64]',
    "x = T.alloc_ub([64], 'bfloat16')": 'buffer UB x bfloat16[64]',
    "x = T.alloc_ub(64, 'float')": 'buffer UB x float32[64]',
    "x = T.alloc_L1((2, 16, 64), 'int8')": 'buffer L1 x int8[2, 16, 64]',
    "x = T.alloc_L0A((16, 64), T.float16)": 'buffer L0A x float16[16, 64]',
    "x = T.alloc_L0B((16, 64), 'e4m3_float8')": 'buffer L0B x float8_e4m3fn[16, 64]',
    "x = T.alloc_L0C((16, 64), 'int32')": 'buffer L0C x int32[16, 64]',
    "x = T.alloc_shared((16, 64), 'float16')": 'buffer SHARED x float16[16, 64]',
    "x = T.alloc_shared((16, 64), 'bool')": 'buffer UB x bool[16, 64]',
    "x = T.alloc_fragment((16, 64), 'float')": 'buffer FRAGMENT x float32[16, 64]',
    "x = T.alloc_var('int32')": 'buffer VAR x int32 = 0',
    "x = T.alloc_var('float32', 2)": 'buffer VAR x float32 = 2.0',
    "x = T.alloc_var('bool', init=True)": 'buffer VAR x bool = True',
    "x = T.alloc_var('int32', 'local.var')": 'buffer VAR x int32 = 0',
    "x = T.alloc_var('int32', 5, 'local.var')": 'buffer VAR x int32 = 5',
    "x = T.alloc_L1((16, 64), 'float16')\nT.annotate_layout({x: make_nz_layout(x)})": 'buffer L1 x float16[16, 64] nZ',
    "x = T.alloc_L1((16, 64), 'float16')\nT.annotate_layout({x: make_zn_layout(x)})": 'buffer L1 x float16[16, 64] zN',
    "x = T.alloc_ub((16, 64), 'float16')\nT.annotate_address({x: 4096})": 'buffer UB x float16[16, 64] @4096 (annotated)',
    "b = T.alloc_ub((16, 64), 'float32')\nx = T.reshape(b, (1024,))": 'buffer UB x float32[1024] views b +0',
    "b = T.alloc_ub((16, 64), 'float32')\nx = T.view(b, (16, 128), 'float16')": 'buffer UB x float16[16, 128] views b +0',
    "b = T.alloc_ub((16, 64), 'float32')\nx = T.alloc_ub((1024,), 'int32')\nT.reinterpretcast(x, b, 'uint32_t')":
        'buffer UB x uint32[1024] views b +0',
    "y = [T.alloc_ub((8,), 'float32') for _ in range(2)]": 'buffer UB y_1 float32[8]',
}


@pytest.mark.parametrize('body', ALLOCATED)
def test_allocations(source, body):
    from tiletwin.ir.printer import buffer_line

    program = source.kernel(body, allocations='')
    assert buffer_line(list(program.buffers.values())[-1]) == ALLOCATED[body]


def test_a_variable_with_an_expression_starts_with_a_store(source):
    assert source.statements("x = T.alloc_var('int32', init=p * 2)\nI[0] = x", allocations='') == ['store VAR x = p*2', 'store GM I[0] = x[0]']


def test_persistent_tiles_are_decoded_from_the_right_with_a_guard_when_there_are_several_waves(source):
    lines = source.statements('for i, j in T.Persistent([6, 16], 4, cid):\n    I[i] = j', allocations='')
    assert lines == ['for wave in 0:+24:', '  let tile: int32 = wave*4+cid', '  if tile >= 96:', '    break',
                     '  let i: int32 = tmod(tdiv(tile, 8), 6)',
                     '  let j: int32 = tdiv(tdiv(tile, 8), 6)*8+tmod(tile, 8)', '  store GM I[i] = j']


def test_symbolic_dimensions_and_pointers(source):
    from tiletwin.ir.printer import text

    program = source.kernel('T.copy(X[m, 0], u)\nI[0] = m', before="m = T.symbolic('m')",
                            parameters="X: T.Tensor((m, m * 2), 'float32'), ptr: T.ptr('int32'), k: T.int64",
                            frame='T.Kernel(m, is_npu=True) as (cid, vid)',
                            allocations="I = T.make_tensor(ptr, (k,), 'int32')\nu = T.alloc_ub((8, 64), 'float32')")
    assert text(program).splitlines()[:4] == ['kernel main(X, I, k: int64)', 'launch m blocks, cid_vid: cid, vid', 'buffer GM X float32[m, m*2]',
                                              'buffer GM I int32[k]']
