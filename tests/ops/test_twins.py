"""The expert form earns its pages: on no source shape is it slower than the developer form, in modelled time."""

import pytest

from tiletwin.backends.simulator import simulate
from tiletwin.harness.registry import operators, platform
from tiletwin.jit import JITKernel
from tiletwin.sim.options import Options

BEYOND = {('sparse_flash_attn', 'source-full')}  # minutes of simulation: 2048 gathered rows under each of 128 queries
NODES = [(op, chip, case) for op in operators().values() if set(op.modes) == {'expert', 'developer'}
         for chip in op.chips for case in op.cases_in('developer')
         if case.purpose == 'source' and (op.variant.family, case.name) not in BEYOND and (not case.chips or chip in case.chips)]


def cycles(op, case, inputs, mode, chip):
    """Time alone: the tensors keep what they held."""
    settings = op.variant.settings(op.attributes_in(case, mode))
    kernel = op.kernel(op.variant.bind(inputs, settings), settings, tuple(str(x.dtype).removeprefix('torch.') for x in inputs), mode, chip)
    if not isinstance(kernel, JITKernel):
        # Several launches, joined by a function: they time themselves.
        return sum(launch.cycles for launch in op.launch(inputs, op.attributes_in(case, mode), mode, chip)[1])
    bound = kernel.convention.bind(inputs, True)
    options = Options(chip=chip, target=kernel.target, sanitize=False, data=False)
    with platform(chip):
        return simulate(kernel.program, bound.tensors, bound.scalars, options, bound.poisoned).cycles


@pytest.mark.parametrize('op, chip, case', NODES, ids=[f'{o.name}-{c}-{k.name}' for o, c, k in NODES])
def test_expert_is_not_slower_than_developer(op, chip, case):
    inputs = op.variant.make_inputs(case)
    expert, developer = (cycles(op, case, inputs, mode, chip) for mode in ('expert', 'developer'))
    assert expert <= developer, f'{expert:.0f} cycles against {developer:.0f}'
