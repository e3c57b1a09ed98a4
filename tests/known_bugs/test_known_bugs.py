"""The corpus of bugs users of the real compiler met: each case has its verdict in both profiles, and its repaired form is clean."""

import importlib
import pkgutil
import warnings

import pytest
import torch

import tests.known_bugs as corpus
from tiletwin.errors import TileTwinError

from .case import Case

CASES = {m.name: importlib.import_module(f'{corpus.__name__}.{m.name}').CASE for m in pkgutil.iter_modules(corpus.__path__)
         if m.name not in ('case', 'test_known_bugs')}


def run(build, case: Case, profile, monkeypatch, inputs=None):
    """(findings, outputs) of a kernel built and launched under a profile."""
    monkeypatch.setenv('TILETWIN_PROFILE', profile)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        kernel = build()
    out = kernel(*(inputs or case.inputs()))
    return kernel.last.verdict, out if isinstance(out, list) else [out]


def same(out, want) -> bool:
    want = list(want) if isinstance(want, tuple) else [want]
    return all(o.shape == w.shape and torch.allclose(o.float(), w.float(), rtol=1e-3, atol=1e-3) for o, w in zip(out, want))


@pytest.mark.parametrize('profile', ['fork', 'sound'])
@pytest.mark.parametrize('slug', CASES)
def test_case_has_its_verdict(slug, profile, monkeypatch):
    case: Case = CASES[slug]
    expect = getattr(case, profile)
    if expect.refusal:
        with pytest.raises(TileTwinError, match=expect.refusal):
            run(case.broken, case, profile, monkeypatch)
        return
    verdict, out = run(case.broken, case, profile, monkeypatch)
    text = '\n'.join(f'{f.message} {f.fix} {f.overlap}' + ' '.join(s.pipe for s in f.sides) for f in verdict.findings)
    assert {f.word for f in verdict.findings} == expect.words, text
    for mention in expect.mentions:
        assert mention in text
    if expect.numbers is not None:
        assert same(out, case.reference(*case.inputs())) == expect.numbers


@pytest.mark.parametrize('slug', [s for s in CASES if CASES[s].repaired])
def test_repaired_kernel_is_clean_in_both_profiles(slug, monkeypatch):
    case: Case = CASES[slug]
    for profile in ('fork', 'sound'):
        kernel_inputs = case.inputs()
        monkeypatch.setenv('TILETWIN_PROFILE', profile)
        kernel = case.repaired()
        declared = [p for i, p in enumerate(kernel.params) if i not in kernel.out_idx and i not in kernel.workspace_idx and i not in kernel.auto_gm_idx]
        fitted = tuple(t if not isinstance(t, torch.Tensor) or tuple(t.shape) == tuple(p.shape) else _fit(t, p.shape) for t, p in zip(kernel_inputs, declared))
        verdict, out = run(lambda k=kernel: k, case, profile, monkeypatch, fitted)
        assert verdict.clean, [f.message for f in verdict.findings]
        assert same(out, case.reference(*fitted))


def _fit(t: torch.Tensor, shape) -> torch.Tensor:
    """The repaired form may work on fewer or more rows."""
    rows = int(shape[0])
    return torch.cat([t] * (rows // t.shape[0] + 1))[:rows].contiguous()
