"""torch_npu as far as this package uses it: tensors that say they are on the device, events that return what a test put there."""

import sys
from types import ModuleType, SimpleNamespace

import fake_log
import torch

if not fake_log.available and fake_log.device_name == 'no driver':
    raise ImportError('libhccl.so: cannot open shared object file: No such file or directory')
torch.utils.rename_privateuse1_backend('npu')


class OnDevice(torch.Tensor):
    @property
    def device(self):
        return torch.device('npu', 0)

    def zero_(self):
        fake_log.said('zero', bytes=self.numel() * self.element_size())
        return self

    def cpu(self):
        return self.as_subclass(torch.Tensor)


class Event:
    def __init__(self, enable_timing=False):
        assert enable_timing, 'elapsed_time of an event without timing'
        self.recorded = False

    def record(self, stream=None):
        self.recorded = True
        fake_log.said('record')

    def elapsed_time(self, end):
        assert self.recorded and end.recorded and fake_log.calls[-1]['kind'] in ('synchronize', 'elapsed')
        fake_log.said('elapsed')
        return fake_log.intervals.pop(0) if len(fake_log.intervals) > 1 else fake_log.intervals[0]


def _to_device(self):
    return self.as_subclass(OnDevice)


torch.Tensor.npu = _to_device
npu = ModuleType('torch.npu')
npu.Event = Event
npu.is_available = lambda: fake_log.available
npu.device_count = lambda: int(fake_log.available)
npu.get_device_name = lambda device=0: fake_log.device_name
npu.get_device_properties = lambda device=0: SimpleNamespace(name=fake_log.device_name, cube_core_num=20, vector_core_num=40)
npu.synchronize = lambda: fake_log.said('synchronize')
torch.npu = npu
sys.modules['torch.npu'] = npu
__version__ = '2.13.0'
