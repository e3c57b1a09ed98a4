"""Every operator in every mode on every chip: numbers inside the contract's policy, no finding, and what the row asks to be shown."""

import pytest

from tiletwin.harness.registry import operators

NODES = [(op, mode, chip, case) for op in operators().values() for mode in op.modes for chip in op.chips for case in op.cases_in(mode)
         if not case.slow and (not case.chips or chip in case.chips)]


@pytest.mark.parametrize('op, mode, chip, case', NODES, ids=[f'{o.name}-{m}-{c}-{k.name}' for o, m, c, k in NODES])
def test_case(op, mode, chip, case):
    ran = op.run_case(case, mode, chip)
    assert ran.ok, ran.message
    assert ran.launches
    assert not ran.unaccepted, '\n'.join(f'{f.severity}[{f.word}] {f.message}' for f in ran.unaccepted)
    assert not [s.text for s in ran.shown if not s.ok]
