"""A counter in GM through the scalar unit, its cache written back."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit()
def count(N):
    @T.prim_func
    def main(X: T.Tensor((N,), 'int32'), Out: T.Tensor((8,), 'int32')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            n = T.alloc_var('int32', init=0)
            with T.Scope('V'):
                if vid == 0:
                    for i in T.serial(N):
                        v = X[i]
                        if v > 0:
                            n += 1
                    Out[0] = n
                    Out[1] = T.max(n, 3)
                    T.tile.datacachecleanandinvalid_experiment(Out, 'ENTIRE_DATA_CACHE', 'CACHELINE_OUT')

    return main


x = torch.randint(-5, 5, (64,), dtype=torch.int32, device='npu')
out = torch.zeros(8, dtype=torch.int32, device='npu')
count(64)(x, out)
assert out[0].item() == int((x > 0).sum()), out
print('count ok')
