"""What the fakes were asked for, in order, and what they answer."""

import os

calls = []
# Milliseconds between pairs of events, in the order they are asked for; the last one repeats.
intervals = [float(x) for x in os.environ.get('FAKE_NPU_INTERVALS', '1').split(',')]
device_name = os.environ.get('FAKE_NPU_NAME', 'Ascend910_9392')
available = os.environ.get('FAKE_NPU_AVAILABLE', '1') == '1'


def said(kind, **facts):
    calls.append({'kind': kind, **facts})
