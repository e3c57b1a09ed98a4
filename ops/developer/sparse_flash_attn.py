"""Developer sparse flash attention: one block per query position, group and block of heads; its tiles of 64 indices one by one.

* `workspace_vid`: four workspaces, the rows of each tile shared out by `vid`, the vector cores gather;
* `vid_eliminated`: tiles by name only, rows gathered straight into `kv_l1[i, :]`. Indices are read from GM, because the cube
  cannot read a tile of the vector cores.
"""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

BLOCK = 64  # indices per tile


def workspace_vid(B, S, H, D, Dt, Skv, G, topk):
    """The compiled kernel for one shape: `kernel(Q, KV, Indices) -> Output`."""
    return sparse_flash_attn_workspace_vid(B, S, H, D, Dt, Skv, G, topk, heads_per_block(H, G))


def vid_eliminated(B, S, H, D, Dt, Skv, G, topk):
    """The compiled kernel for one shape: `kernel(Q, KV, Indices) -> Output`."""
    return sparse_flash_attn_vid_eliminated(B, S, H, D, Dt, Skv, G, topk, heads_per_block(H, G))


def heads_per_block(H, G):
    """Whole fractals; the rows behind the last head of the tensor are clipped, those of the next group would not be."""
    group = H // G
    if G > 1 and group % 16:
        raise ValueError(f'{group} heads per group: the padding to 16 rows would be stored over the next group')
    return min(64, (group + 15) // 16 * 16)


@tiletwin.jit(out_idx=[3], workspace_idx=[4, 5, 6, 7], pass_configs=DEVELOPER)
def sparse_flash_attn_workspace_vid(B, S, H, D, Dt, Skv, G, topk, H_per_block, BI=BLOCK):
    depth = D + Dt
    scale = depth ** -0.5
    head_blocks = (H // G + H_per_block - 1) // H_per_block
    blocks = B * S * G * head_blocks
    v_block = H_per_block // 2  # heads per vector core
    half_BI = BI // 2

    @T.prim_func
    def main(
        Q: T.Tensor((B, S, H, depth), 'float16'),
        KV: T.Tensor((B, Skv, G, depth), 'float16'),
        Indices: T.Tensor((B, S, G, topk), 'int32'),
        Output: T.Tensor((B, S, H, D), 'float16'),
        workspace_1: T.Tensor((blocks, BI, depth), 'float16'),
        workspace_2: T.Tensor((blocks, H_per_block, BI), 'float'),
        workspace_3: T.Tensor((blocks, H_per_block, BI), 'float16'),
        workspace_4: T.Tensor((blocks, H_per_block, D), 'float'),
    ):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            b = cid // head_blocks // G // S
            s = cid // head_blocks // G % S
            g = cid // head_blocks % G
            head = g * (H // G) + cid % head_blocks * H_per_block
            q_l1 = T.alloc_shared((H_per_block, depth), 'float16')
            kv_l1 = T.alloc_shared((BI, depth), 'float16')
            acc_s_l1 = T.alloc_shared((H_per_block, BI), 'float16')
            acc_s = T.alloc_fragment((H_per_block, BI), 'float')
            acc_o = T.alloc_fragment((H_per_block, D), 'float')

            index_ub = T.alloc_shared((half_BI,), 'int32')
            kv_ub = T.alloc_shared((half_BI, depth), 'float16')
            s_ub = T.alloc_shared((v_block, BI), 'float')
            b_ub = T.alloc_shared((v_block, BI), 'float')
            acc_s_half = T.alloc_shared((v_block, BI), 'float16')
            pv_ub = T.alloc_shared((v_block, D), 'float')
            o_ub = T.alloc_shared((v_block, D), 'float')
            out_ub = T.alloc_shared((v_block, D), 'float16')
            top = T.alloc_shared((v_block, 1), 'float')
            new_top = T.alloc_shared((v_block, 1), 'float')
            shrink = T.alloc_shared((v_block, 1), 'float')
            tile_sum = T.alloc_shared((v_block, 1), 'float')
            total = T.alloc_shared((v_block, 1), 'float')

            T.tile.fill(top, -1e30)
            T.tile.fill(total, 0.0)
            T.tile.fill(o_ub, 0.0)
            T.copy(Q[b, s, head, 0], q_l1)
            for j in T.serial(topk // BI):
                T.copy(Indices[b, s, g, j * BI + vid * half_BI], index_ub)
                for i in T.serial(half_BI):
                    T.copy(KV[b, index_ub[i], g, 0:depth], kv_ub[i, :])
                T.copy(kv_ub, workspace_1[cid, vid * half_BI, 0])

                T.copy(workspace_1[cid, 0, 0], kv_l1)
                T.gemm_v0(q_l1, kv_l1, acc_s, transpose_B=True, init=True)
                T.copy(acc_s, workspace_2[cid, 0, 0])

                T.copy(workspace_2[cid, vid * v_block, 0], s_ub)
                T.tile.mul(s_ub, s_ub, scale)
                T.reduce_max(s_ub, new_top, dim=-1)
                T.tile.max(new_top, new_top, top)
                T.tile.sub(shrink, top, new_top)
                T.tile.exp(shrink, shrink)
                T.copy(new_top, top)
                T.tile.broadcast(b_ub, new_top)
                T.tile.sub(s_ub, s_ub, b_ub)
                T.tile.exp(s_ub, s_ub)
                T.reduce_sum(s_ub, tile_sum, dim=-1)
                T.tile.mul(total, total, shrink)
                T.tile.add(total, total, tile_sum)
                T.copy(s_ub, acc_s_half)
                T.copy(acc_s_half, workspace_3[cid, vid * v_block, 0])

                T.copy(workspace_3[cid, 0, 0], acc_s_l1)
                T.gemm_v0(acc_s_l1, kv_l1[:, 0:D], acc_o, init=True)
                T.copy(acc_o, workspace_4[cid, 0, 0])

                T.copy(workspace_4[cid, vid * v_block, 0], pv_ub)
                for r in T.serial(v_block):
                    T.tile.mul(o_ub[r, :], o_ub[r, :], shrink[r, 0])
                T.tile.add(o_ub, o_ub, pv_ub)
            for r in T.serial(v_block):
                T.tile.div(o_ub[r, :], o_ub[r, :], total[r, 0])
            T.copy(o_ub, out_ub)
            T.copy(out_ub, Output[b, s, head + vid * v_block, 0])

    return main


@tiletwin.jit(out_idx=[3], pass_configs=DEVELOPER)
def sparse_flash_attn_vid_eliminated(B, S, H, D, Dt, Skv, G, topk, H_per_block, BI=BLOCK):
    depth = D + Dt
    scale = depth ** -0.5
    head_blocks = (H // G + H_per_block - 1) // H_per_block
    v_block = H_per_block  # the compiler halves it

    @T.prim_func
    def main(
        Q: T.Tensor((B, S, H, depth), 'float16'),
        KV: T.Tensor((B, Skv, G, depth), 'float16'),
        Indices: T.Tensor((B, S, G, topk), 'int32'),
        Output: T.Tensor((B, S, H, D), 'float16'),
    ):
        with T.Kernel(B * S * G * head_blocks, threads=2, is_npu=True) as cid:
            b = cid // head_blocks // G // S
            s = cid // head_blocks // G % S
            g = cid // head_blocks % G
            head = g * (H // G) + cid % head_blocks * H_per_block
            q_l1 = T.alloc_shared((H_per_block, depth), 'float16')
            kv_l1 = T.alloc_shared((BI, depth), 'float16')
            acc_s_l1 = T.alloc_shared((H_per_block, BI), 'float16')
            acc_s = T.alloc_fragment((H_per_block, BI), 'float')
            acc_o = T.alloc_fragment((H_per_block, D), 'float')

            s_ub = T.alloc_shared((v_block, BI), 'float')
            acc_s_half = T.alloc_shared((v_block, BI), 'float16')
            pv_ub = T.alloc_shared((v_block, D), 'float')
            o_ub = T.alloc_shared((v_block, D), 'float')
            out_ub = T.alloc_shared((v_block, D), 'float16')
            top = T.alloc_shared((v_block, 1), 'float')
            new_top = T.alloc_shared((v_block, 1), 'float')
            shrink = T.alloc_shared((v_block, 1), 'float')
            tile_sum = T.alloc_shared((v_block, 1), 'float')
            total = T.alloc_shared((v_block, 1), 'float')

            T.tile.fill(top, -1e30)
            T.tile.fill(total, 0.0)
            T.tile.fill(o_ub, 0.0)
            T.copy(Q[b, s, head, 0], q_l1)
            for j in T.serial(topk // BI):
                for i in T.serial(BI):
                    T.copy(KV[b, Indices[b, s, g, j * BI + i], g, 0:depth], kv_l1[i, :])
                T.gemm_v0(q_l1, kv_l1, acc_s, transpose_B=True, init=True)
                T.copy(acc_s, s_ub)
                T.tile.mul(s_ub, s_ub, scale)
                T.reduce_max(s_ub, new_top, dim=-1)
                T.tile.max(new_top, new_top, top)
                T.tile.sub(shrink, top, new_top)
                T.tile.exp(shrink, shrink)
                T.copy(new_top, top)
                for r in T.serial(v_block):
                    T.tile.sub(s_ub[r, :], s_ub[r, :], new_top[r, 0])
                T.tile.exp(s_ub, s_ub)
                T.reduce_sum(s_ub, tile_sum, dim=-1)
                T.tile.mul(total, total, shrink)
                T.tile.add(total, total, tile_sum)
                T.copy(s_ub, acc_s_half)
                T.copy(acc_s_half, acc_s_l1)
                T.gemm_v0(acc_s_l1, kv_l1[:, 0:D], acc_o, init=True)
                for r in T.serial(v_block):
                    T.tile.mul(o_ub[r, :], o_ub[r, :], shrink[r, 0])
                T.copy(acc_o, pv_ub)
                T.tile.add(o_ub, o_ub, pv_ub)
            for r in T.serial(v_block):
                T.tile.div(o_ub[r, :], o_ub[r, :], total[r, 0])
            T.copy(o_ub, out_ub)
            T.copy(out_ub, Output[b, s, head, 0])

    return main
