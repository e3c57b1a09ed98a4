"""A torch model whose attention block runs on the operators: an RMS norm, the projections, attention over four heads, the residual.

`import tiletwin.torch_ops` puts every operator under `torch.ops.tiletwin`. On a CPU the simulator computes them, exactly in the dtypes of the
kernels, and judges every launch; on an NPU the same lines call the compiled kernels. They work under `torch.compile(fullgraph=True)`
and with meta tensors. `tiletwin.torch_ops.using(mode='developer')` runs the other twin of every operator inside its block.
"""

import torch

from tiletwin.torch_ops import using

HEADS, HEAD, WIDTH = 4, 64, 256
ops = torch.ops.tiletwin


class AttentionBlock(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.Parameter(torch.ones(WIDTH))
        self.inner = torch.nn.Parameter(torch.randn(WIDTH, 3 * WIDTH) / WIDTH ** 0.5)
        self.outer = torch.nn.Parameter(torch.randn(WIDTH, WIDTH) / WIDTH ** 0.5)

    def project(self, x, weight):
        return ops.matmul_mkkn_gemm(x.half(), weight.half())

    def attend(self, q, k, v):
        return ops.flash_attn_ws3(q.half(), k.half(), v.half(), scale=HEAD ** -0.5)

    def forward(self, x):
        batch, length, _ = x.shape
        normed = torch.nn.functional.rms_norm(x, (WIDTH,), self.norm)
        qkv = self.project(normed.reshape(-1, WIDTH), self.inner).reshape(batch, length, 3, HEADS, HEAD)
        q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))
        mixed = self.attend(q, k, v).transpose(1, 2).reshape(-1, WIDTH)
        return x + self.project(mixed, self.outer).reshape(x.shape)


class InTorch(AttentionBlock):
    """The same block on torch's own operators, in float32."""

    def project(self, x, weight):
        return x.float() @ weight

    def attend(self, q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)


if __name__ == '__main__':
    torch.manual_seed(0)
    ours, theirs = AttentionBlock(), InTorch()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 128, WIDTH)
    with torch.no_grad():
        expected = theirs(x)
        for mode in ('expert', 'developer'):
            with using(mode=mode):
                error = (ours(x) - expected).norm() / expected.norm()
            print(f'{mode}: relative error against torch in float32 {error:.1e}')
            assert error < 1e-3
        compiled = torch.compile(ours, fullgraph=True, backend='aot_eager')
        assert torch.equal(compiled(x), ours(x))
        print('under torch.compile(fullgraph=True): the same bits')
    with torch.device('meta'):
        print('with meta tensors:', tuple(AttentionBlock()(torch.empty(8, 4096, WIDTH)).shape))
