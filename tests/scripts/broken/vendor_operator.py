import torch
import torch_npu

q = torch.randn(1, 1, 16, 16, dtype=torch.float16, device='npu')
torch_npu.npu_fusion_attention(q, q, q, 1, 'BNSD')
