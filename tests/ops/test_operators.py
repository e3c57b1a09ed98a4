"""Every operator in every mode on every chip: numbers inside the contract's policy, no finding."""

import pytest

from tiletwin.harness.registry import operators

NODES = [(op, mode, chip, case) for op in operators().values() for mode in op.modes for chip in op.chips for case in op.cases_in(mode)
         if not case.slow and (not case.chips or chip in case.chips)]


@pytest.mark.parametrize('op, mode, chip, case', NODES, ids=[f'{o.name}-{m}-{c}-{k.name}' for o, m, c, k in NODES])
def test_case(op, mode, chip, case):
    ran = op.run_case(case, mode, chip)
    assert ran.ok, ran.message
    assert ran.launches
    for launch in ran.launches:
        launch.verdict.require_clean()
