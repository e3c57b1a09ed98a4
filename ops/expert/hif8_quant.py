"""Expert HiF8 quantisation: tiles dealt out over every vector core, loads, arithmetic and stores of different tiles overlapped.

The exponent is taken from the bits: E = w & 0x7F800000 is 2^e, the same bits inverted less one is 2^-e, and the larger of the two,
2^|e|, says how many halvings of E make the step between neighbouring values. What is not finite takes no part: a comparison with
NaN is false, so |x| <= FLT_MAX tells both NaN and infinity, and their lanes get back what they were.

* `sentinel`: finite numbers that overflow become +-FLT_MAX;
* `inf`: they become +-infinity.
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

EXPONENT = 0x7F800000
ONE_EXPONENT = 0x00800000
FLT_MAX = 3.4028234663852886e38
OVERFLOW = 40960.0
SMALLEST = 2.0 ** -22
TENSOR, SCALAR = 'VSEL_TENSOR_TENSOR_MODE', 'VSEL_TENSOR_SCALAR_MODE'


def sentinel(length, cores=20):
    """The compiled kernel for one length: `kernel(x) -> y`."""
    return hif8_quant(length, False, tile_of(length, cores), cores)


def inf(length, cores=20):
    """The compiled kernel for one length: `kernel(x) -> y`."""
    return hif8_quant(length, True, tile_of(length, cores), cores)


def tile_of(length, cores):
    """512 numbers, more where every vector core has several tiles."""
    return next((n for n in (2048, 1024) if length >= 4 * cores * n), 512)


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def hif8_quant(length, infinite, tile=512, cores=20):
    tiles = (length + tile - 1) // tile
    blocks = min(cores, (tiles + 1) // 2)
    workers = 2 * blocks

    @T.prim_func
    def main(X: T.Tensor((1, length), 'float'), Y: T.Tensor((1, length), 'float')):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            x = T.alloc_ub((2, tile), 'float')
            y = T.alloc_ub((2, tile), 'float')
            size = T.alloc_ub((1, tile), 'float')
            w = T.alloc_ub((1, tile), 'float')
            e = T.alloc_ub((1, tile), 'float')
            far = T.alloc_ub((1, tile), 'float')
            step = T.alloc_ub((1, tile), 'float')
            less = T.alloc_ub((1, tile), 'float')
            q = T.alloc_ub((1, tile), 'float')
            whole = T.alloc_ub((1, tile), 'int32')
            signed = T.alloc_ub((1, tile), 'float')
            beyond = T.alloc_ub((1, tile), 'float')
            half = T.alloc_ub((1, tile), 'float')
            mask = T.alloc_ub((1, tile), 'int32')
            finite = T.alloc_ub((tile // 8,), 'uint8')
            other = T.alloc_ub((tile // 8,), 'uint8')
            keep = T.alloc_ub((tile // 8,), 'uint8')
            over = T.alloc_ub((tile // 8,), 'uint8')
            positive = T.alloc_ub((tile // 8,), 'uint8')
            le15 = T.alloc_ub((tile // 8,), 'uint8')
            le7 = T.alloc_ub((tile // 8,), 'uint8')
            le3 = T.alloc_ub((tile // 8,), 'uint8')
            w_bits = T.view(w, (1, 2 * tile), 'uint16')
            e_bits = T.view(e, (1, 2 * tile), 'uint16')
            far_bits = T.view(far, (1, 2 * tile), 'uint16')
            far_int = T.view(far, (1, tile), 'int32')
            mask_bits = T.view(mask, (1, 2 * tile), 'uint16')
            finite_bits = T.view(finite, (tile // 16,), 'uint16')
            other_bits = T.view(other, (tile // 16,), 'uint16')

            with T.Scope('V'):
                # Ids 1 and 2: a load that pads uses id 0 of MTE3->V, V->MTE2 and MTE2->V itself (dialect 4.1.7). The first load does not wait
                # for what V fills.
                T.set_flag('v', 'mte2', 1)
                T.tile.fill(mask, EXPONENT)
                T.tile.fill(half, 0.5)
                T.set_flag('v', 'mte2', 2)
                for s in T.serial(2):
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    at = (t * workers + cid * 2 + vid) * tile
                    s = t % 2
                    T.wait_flag('v', 'mte2', s + 1)
                    T.copy(X[0, at], x[s, :])
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    T.tile.abs(size, x[s, :])
                    T.pipe_barrier('v')
                    T.tile.compare(finite, size, FLT_MAX, 'LE')
                    T.tile.compare(over, size, OVERFLOW, 'GE')
                    T.pipe_barrier('v')
                    T.tile.select(w, finite, x[s, :], 0.0, SCALAR)
                    T.tile.bitwise_not(other_bits, finite_bits)
                    T.pipe_barrier('v')
                    T.tile.bitwise_and(e_bits, w_bits, mask_bits)
                    T.tile.compare(positive, w, 0.0, 'GE')
                    T.pipe_barrier('v')
                    T.tile.bitwise_not(far_bits, e_bits)
                    T.tile.select(signed, positive, half, -0.5, SCALAR)
                    T.tile.compare(keep, e, SMALLEST / 2, 'GE')
                    T.tile.max(step, e, SMALLEST)
                    T.pipe_barrier('v')
                    T.tile.bitwise_and(far_bits, far_bits, mask_bits)
                    T.tile.mul(beyond, signed, FLT_MAX)
                    T.tile.mul(less, step, 0.5)
                    T.pipe_barrier('v')
                    T.tile.sub(far_int, far_int, ONE_EXPONENT)
                    T.tile.mul(beyond, beyond, T.infinity('float32') if infinite else 2.0)
                    T.pipe_barrier('v')
                    T.tile.max(far, far, e)
                    T.pipe_barrier('v')
                    T.tile.compare(le15, far, 32768.0, 'LE')
                    T.tile.compare(le7, far, 128.0, 'LE')
                    T.tile.compare(le3, far, 8.0, 'LE')
                    T.pipe_barrier('v')
                    T.tile.select(step, le15, less, step, TENSOR)
                    T.pipe_barrier('v')
                    T.tile.mul(less, step, 0.5)
                    T.pipe_barrier('v')
                    T.tile.select(step, le7, less, step, TENSOR)
                    T.pipe_barrier('v')
                    T.tile.mul(less, step, 0.5)
                    T.pipe_barrier('v')
                    T.tile.select(step, le3, less, step, TENSOR)
                    T.pipe_barrier('v')
                    # sign * floor(|w / step| + 0.5): half a step away from zero, then towards it.
                    T.tile.div(q, w, step)
                    T.pipe_barrier('v')
                    T.tile.add(q, q, signed)
                    T.pipe_barrier('v')
                    T.tile.cast(whole, q, 'CAST_TRUNC', tile)
                    T.pipe_barrier('v')
                    T.tile.cast(q, whole, 'CAST_RINT', tile)
                    T.pipe_barrier('v')
                    T.tile.mul(q, q, step)
                    T.pipe_barrier('v')
                    T.tile.select(q, keep, q, 0.0, SCALAR)
                    T.pipe_barrier('v')
                    T.tile.select(q, over, beyond, q, TENSOR)
                    T.pipe_barrier('v')
                    T.wait_flag('mte3', 'v', s + 1)
                    T.tile.select(y[s, :], other, x[s, :], q, TENSOR)
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('v', 'mte3', s + 1)

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(y[s, :], Y[0, at])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main
