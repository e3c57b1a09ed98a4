"""A kernel of the fork: the call convention without the launch (dialect 1.6)."""

import fake_log
import torch


def _indices(value, count):
    values = [] if value is None else [value] if isinstance(value, int) else list(value)
    if any(not -count <= v < count for v in values):
        raise IndexError(f'{values} of {count} parameters')
    return [v % count for v in values]


class JITKernel:
    def __init__(self, prim, out_idx, workspace_idx):
        self.prim, self.params = prim, prim.params
        self.out_idx, self.workspace_idx = _indices(out_idx, len(self.params)), _indices(workspace_idx, len(self.params))
        assert not set(self.out_idx) & set(self.workspace_idx)

    def __call__(self, *inputs, stream=-1):
        made = {*self.out_idx, *self.workspace_idx}
        given = [p for i, p in enumerate(self.params) if i not in made]
        if len(inputs) < len(given):
            raise IndexError('list index out of range')
        sizes = {}
        for i, (p, x) in enumerate(zip(given, inputs)):
            if p.shape is None:
                assert isinstance(x, (int, float)), (p.name, x)
                continue
            if not x.is_contiguous():
                raise ValueError(f'Input tensor at index {i} must be contiguous')
            if x.device.type != 'npu':
                raise ValueError(f'Buffer device mismatch for parameter {p.name}')
            if str(x.dtype).removeprefix('torch.') != p.dtype:
                raise ValueError(f'Buffer dtype mismatch for parameter {p.name}: {p.dtype}, {x.dtype}')
            sizes |= {d.name: n for d, n in zip(p.shape, x.shape) if hasattr(d, 'name')}
        outputs = []
        for i in self.out_idx:
            p = self.params[i]
            shape = [sizes[d.name] if hasattr(d, 'name') else d for d in p.shape]
            x = torch.empty(shape, dtype=getattr(torch, p.dtype))
            outputs.append((x.fill_(float('nan')) if x.is_floating_point() else x.fill_(0)).npu())
        fake_log.said('launch', name=self.prim.name)
        return outputs[0] if len(outputs) == 1 else outputs
