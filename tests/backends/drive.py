"""Run with the fake fork on the path: offers every operator of the device to it and prints what it was asked for."""

import json
import sys

import fake_log

import tiletwin
from tiletwin.backends.choose import backend
from tiletwin.harness.registry import operators


def first_case(op, mode, chip):
    return next((c for c in op.cases_in(mode) if not c.slow and (not c.chips or chip in c.chips)), None)


def main():
    import torch_npu  # noqa: F401

    chip = backend().chip(None)
    rows = []
    for op in operators().values():
        for mode in op.modes if chip in op.chips else ():
            case = first_case(op, mode, chip)
            if case is None:
                continue
            inputs = op.variant.make_inputs(case)
            wanted = op.variant.reference(*inputs, **op.variant.settings(case.attributes))
            fake_log.calls.clear()
            found = op(*(x.npu() for x in inputs), mode=mode, **op.attributes_in(case, mode))
            found = found if isinstance(found, tuple) else (found,)
            rows.append({'operator': op.name, 'mode': mode, 'calls': list(fake_log.calls), 'last': op.last,
                         'devices': [x.device.type for x in found], 'shapes': [list(x.shape) == list(w.shape) for x, w in zip(found, wanted, strict=True)],
                         'dtypes': [x.dtype == w.dtype for x, w in zip(found, wanted)]})
    json.dump({'chip': chip, 'language': tiletwin.language.__name__, 'rows': rows}, sys.stdout)


main()
