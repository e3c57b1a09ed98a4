"""Profile `sound` on whole kernels: nothing is found, and the results are those of the source, read statement by statement.

What is found all the same is in the kernel itself, and listed with its reason in tests/oracle/differences.md.
"""

import re

import pytest
import torch

from tests.oracle.test_parity import HERE, ORACLE
from tiletwin.errors import TileTwinError
from tiletwin.harness.registry import operators
from tiletwin.ir import expr as E
from tiletwin.passes import oracle
from tiletwin.passes.pipeline import lower

from .run_sound import launch

KERNELS = sorted(p.stem for p in (ORACLE / 'kernels').glob('*.py'))
SAME_VALUE = 'both store the same value'


def explained() -> dict[str, set[str]]:
    """Kernel -> class words (or `refused`) the section of differences.md gives a reason for."""
    section = (HERE / 'differences.md').read_text(encoding='utf-8').split('## Profile sound')[1].split('\n## ')[0]
    return {name: set(words.split(', ')) for name, words in re.findall(r'^\| `([^`]+)` \| ([^|]+) \|', section, re.M)}


def numbers(program) -> dict[str, int]:
    """A value for every scalar parameter and every symbolic size."""
    return {p.name: 2 for p in program.params if isinstance(p, E.Var)} | {n: 128 for b in program.tensors for d in b.shape for n in E.free_vars(d)}


def outcome(name: str) -> tuple[set[str], bool | None]:
    """(class words found, whether the results are those of the source) of a kernel of the comparison with the real compiler."""
    from tiletwin import language
    from tiletwin.language.entry import program_of

    module = oracle.load(ORACLE / 'kernels' / f'{name}.py')
    try:
        program = program_of(module.build(language))
        lowered = lower(program, module.PASS_CONFIGS, profile='sound')
    except TileTwinError:
        return {'refused'}, None
    outs = [module.OUT_IDX] if isinstance(module.OUT_IDX, int) else module.OUT_IDX or []
    result, got, meant = launch(program, numbers(program), tuple(program.params[i] for i in outs), lowered=lowered)
    # Without `vid` in the source both vector cores of a (cid, vid) kernel store everything, the same values.
    words = {f.word for f in result.verdict.findings if SAME_VALUE not in f.message}
    results = [t for t in meant if 'workspace' not in t]
    return words, all(torch.allclose(got[t].float(), meant[t].float(), rtol=2e-3, atol=2e-3, equal_nan=True) for t in results)


@pytest.mark.skipif(not KERNELS, reason='the kernels of the comparison with the real compiler are not beside the repository')
@pytest.mark.parametrize('name', KERNELS)
def test_kernel_is_clean_and_means_its_source(name):
    words, same = outcome(name)
    assert words == explained().get(name, set())
    assert same or words & {'uninit', 'refused', 'oob', 'race'}


DEVELOPER = [n for n, o in operators().items() if 'developer' in o.modes]


@pytest.mark.parametrize('name', DEVELOPER)
def test_developer_operator_is_clean_and_right(name, monkeypatch):
    """Its reference is written without the package; the quick cut of cases on its first chip."""
    monkeypatch.setenv('TILETWIN_PROFILE', 'sound')
    operator = operators()[name]
    case = min((c for c in operator.cases_in('developer') if not c.slow), key=lambda c: c.purpose != 'minimum')
    ran = operator.run_case(case, 'developer', (case.chips or operator.chips)[0])
    assert ran.ok, ran.message
    assert [(f.word, f.message) for launched in ran.launches for f in launched.verdict.findings] == []
