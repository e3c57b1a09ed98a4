"""Flash attention as it stands in `ops/expert`: cube and vector cores at work on different steps at the same time.

    tiletwin check examples/06_flash_attention.py
    tiletwin trace examples/06_flash_attention.py -o trace.json
"""

import torch

import tiletwin

if __name__ == '__main__':
    attention = tiletwin.operator('flash_attn.ws3')
    q, k, v = (torch.randn(1, 2, 512, 128).half() for _ in range(3))
    out = attention(q, k, v)
    right = torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float())
    torch.testing.assert_close(out.float(), right, rtol=1e-2, atol=1e-2)
    print(f'attention is right; verdict {attention.last.verdict.level}, {attention.last.microseconds:.1f} us modelled')
    timeline = attention.last.launch.timeline
    for (core, pipe), busy in sorted(timeline.busy.items()):
        print(f'  {core:5}{pipe:5}{100 * busy / timeline.cycles:5.1f} % busy')
