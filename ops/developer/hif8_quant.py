"""Developer HiF8 quantisation: a tile of numbers per block.

`threads=1`: the split over two vector cores halves tiles but neither `T.tile.select` nor `T.tile.cast` (dialect 8.4).
"""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

EXPONENT = 0x7F800000
FLT_MAX = 3.4028234663852886e38
OVERFLOW = 40960.0
SMALLEST = 2.0 ** -22
TENSOR, SCALAR = 'VSEL_TENSOR_TENSOR_MODE', 'VSEL_TENSOR_SCALAR_MODE'


def sentinel(length):
    """The compiled kernel for one length: `kernel(x) -> y`. Finite numbers that overflow become +-FLT_MAX."""
    return hif8_quant(length, False)


def inf(length):
    """The compiled kernel for one length: `kernel(x) -> y`. Finite numbers that overflow become +-infinity."""
    return hif8_quant(length, True)


@tiletwin.jit(out_idx=[1], pass_configs=DEVELOPER)
def hif8_quant(length, infinite, tile=512):
    @T.prim_func
    def main(X: T.Tensor((1, length), 'float'), Y: T.Tensor((1, length), 'float')):
        with T.Kernel(T.ceildiv(length, tile), threads=1, is_npu=True) as cid:
            x = T.alloc_shared((1, tile), 'float')
            size = T.alloc_shared((1, tile), 'float')
            w = T.alloc_shared((1, tile), 'float')
            e = T.alloc_shared((1, tile), 'float')
            far = T.alloc_shared((1, tile), 'float')
            step = T.alloc_shared((1, tile), 'float')
            less = T.alloc_shared((1, tile), 'float')
            whole = T.alloc_shared((1, tile), 'int32')
            signed = T.alloc_shared((1, tile), 'float')
            mask = T.alloc_shared((1, tile), 'int32')
            finite = T.alloc_shared((tile // 8,), 'uint8')
            other = T.alloc_shared((tile // 8,), 'uint8')
            test = T.alloc_shared((tile // 8,), 'uint8')
            w_bits = T.view(w, (1, 2 * tile), 'uint16')
            e_bits = T.view(e, (1, 2 * tile), 'uint16')
            far_bits = T.view(far, (1, 2 * tile), 'uint16')
            far_int = T.view(far, (1, tile), 'int32')
            mask_bits = T.view(mask, (1, 2 * tile), 'uint16')
            finite_bits = T.view(finite, (tile // 16,), 'uint16')
            other_bits = T.view(other, (tile // 16,), 'uint16')

            T.copy(X[0, cid * tile], x)
            # A comparison with NaN is false: what is not finite computes with zeros and gets back what it was.
            T.tile.abs(size, x)
            T.tile.compare(finite, size, FLT_MAX, 'LE')
            T.tile.bitwise_not(other_bits, finite_bits)
            T.tile.select(w, finite, x, 0.0, SCALAR)
            # 2^e from the bits of the exponent, 2^-e from the same bits inverted less one; the larger is 2^|e|.
            T.tile.fill(mask, EXPONENT)
            T.tile.bitwise_and(e_bits, w_bits, mask_bits)
            T.tile.bitwise_not(far_bits, e_bits)
            T.tile.bitwise_and(far_bits, far_bits, mask_bits)
            T.tile.sub(far_int, far_int, 0x00800000)
            T.tile.max(far, far, e)
            # The step between neighbouring values: 2^e, halved once per bit of mantissa.
            T.tile.max(step, e, SMALLEST)
            T.tile.compare(test, far, 32768.0, 'LE')
            T.tile.mul(less, step, 0.5)
            T.tile.select(step, test, less, step, TENSOR)
            T.tile.compare(test, far, 128.0, 'LE')
            T.tile.mul(less, step, 0.5)
            T.tile.select(step, test, less, step, TENSOR)
            T.tile.compare(test, far, 8.0, 'LE')
            T.tile.mul(less, step, 0.5)
            T.tile.select(step, test, less, step, TENSOR)
            # sign * floor(|w / step| + 0.5): half a step away from zero, then towards it.
            T.tile.fill(less, 0.5)
            T.tile.compare(test, w, 0.0, 'GE')
            T.tile.select(signed, test, less, -0.5, SCALAR)
            T.tile.div(w, w, step)
            T.tile.add(w, w, signed)
            T.tile.cast(whole, w, 'CAST_TRUNC', tile)
            T.tile.cast(w, whole, 'CAST_RINT', tile)
            T.tile.mul(w, w, step)
            T.tile.compare(test, e, SMALLEST / 2, 'GE')
            T.tile.select(w, test, w, 0.0, SCALAR)
            T.tile.mul(signed, signed, FLT_MAX)
            T.tile.mul(signed, signed, T.infinity('float32') if infinite else 2.0)
            T.tile.compare(test, size, OVERFLOW, 'GE')
            T.tile.select(w, test, signed, w, TENSOR)
            T.tile.select(w, other, x, w, TENSOR)
            T.copy(w, Y[0, cid * tile])

    return main
