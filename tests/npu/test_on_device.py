"""What only a chip can say. Skipped with the reason where there is none."""

import pytest

from tiletwin.backends.ascend import AscendBackend
from tiletwin.backends.protocol import RUN
from tiletwin.harness.registry import operators

MISSING = '; '.join(c.text for c in AscendBackend().capabilities() if c.name == RUN and not c.ok)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f'no NPU to run on: {MISSING}')


def quick(op, mode, chip):
    return [c for c in op.cases_in(mode) if not c.slow and (not c.chips or chip in c.chips)]


def everything():
    chip = None if MISSING else AscendBackend().chip(None)
    return [pytest.param(op, mode, id=f'{op.name}-{mode}') for op in operators().values() for mode in op.modes if chip is None or chip in op.chips]


@pytest.fixture
def device():
    return AscendBackend()


@pytest.mark.parametrize('op, mode', everything())
def test_numbers_of_every_quick_case(op, mode, device):
    from tiletwin.backends.npu import to_device

    chip = device.chip(None)
    for case in quick(op, mode, chip):
        inputs = op.variant.make_inputs(case)
        there = to_device(inputs)
        found = op(*there, mode=mode, **op.attributes_in(case, mode))
        outputs = tuple(x.cpu() for x in (found if isinstance(found, tuple) else (found,)))
        _, wrong = op.judge(case, inputs, tuple(x.cpu() for x in there), outputs)
        assert not wrong, f'{case.name}: {wrong}'


@pytest.mark.parametrize('op, mode', everything())
def test_ten_launches_give_the_same_bits(op, mode, device):
    import torch

    from tiletwin.backends.npu import to_device

    case = quick(op, mode, device.chip(None))[0]
    inputs = to_device(op.variant.make_inputs(case))
    first, *others = (op(*inputs, mode=mode, **op.attributes_in(case, mode)) for _ in range(10))
    for other in others:
        for a, b in zip(*((x if isinstance(x, tuple) else (x,)) for x in (first, other)), strict=True):
            assert torch.equal(a.cpu().view(torch.uint8), b.cpu().view(torch.uint8))


def test_a_measurement_has_a_time_and_right_numbers(device):
    from tiletwin.harness.measured import measure

    op = operators()['softmax']
    record = measure(op, 'expert', quick(op, 'expert', device.chip(None))[0], 20)
    assert record.ok and record.kind == 'measured' and 0 < record.least <= record.us <= record.most and record.samples == 20


def test_the_model_is_given_the_chip_and_the_cores_of_the_device(device):
    assert device.chip(None) in ('a2', 'a3', 'a5') and 1 <= device.cores(device.chip(None)) <= 64
