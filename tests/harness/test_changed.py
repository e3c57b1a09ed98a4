"""A change touches the operators that import what changed, wherever the import stands."""

import subprocess

import pytest

from tiletwin.errors import EnvironmentError_
from tiletwin.harness.changed import changed_files, sources, touched
from tiletwin.harness.record import root
from tiletwin.harness.registry import operators

EVERYTHING = set(operators())


def family(name):
    return {n for n in EVERYTHING if n.split('.')[0] == name}


@pytest.mark.parametrize('file, names', [
    ('ops/expert/softmax.py', family('softmax')), ('ops/developer/matmul.py', family('matmul')), ('ops/contracts/paged_attn.py', family('paged_attn')),
    ('ops/expert/flash_attn/full.py', family('flash_attn')), ('pass_configs/resolve.py', family('matmul')), ('tiletwin/machine/a3.toml', EVERYTHING),
    ('tiletwin/sim/schedule.py', EVERYTHING), ('tiletwin/passes/pipeline.py', EVERYTHING), ('README.md', set()), ('tiletwin/report/trace.py', set()),
    ('tests/harness/test_changed.py', set()), ('tiletwin/commands/lower.py', set()),
])
def test_touched(file, names):
    assert (root() / file).is_file()
    found = {op.name for op in touched(operators().values(), {file})}
    assert found >= names
    if not names or file.startswith('ops/'):
        assert found == names


def test_the_sources_of_an_operator_are_files_of_the_project():
    found = sources(operators()['softmax'])
    assert all((root() / f).is_file() for f in found)
    assert not any(f.startswith(('tests/', 'tiletwin/report/', 'tiletwin/commands/')) for f in found)


def test_an_unknown_revision_is_refused():
    if subprocess.run(['git', 'rev-parse', 'HEAD'], cwd=root(), capture_output=True).returncode:
        pytest.skip('not a git checkout')
    with pytest.raises(EnvironmentError_, match='no-such-revision'):
        changed_files('no-such-revision')
