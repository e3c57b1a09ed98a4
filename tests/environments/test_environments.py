"""What is documented for environments that differ in what is installed. `.ci/environments.sh` is the same with real installations.

Each environment is a venv that holds links to the distributions it would have, and to no others.
"""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']


def closure(requirements):
    """Names of the distributions a list of requirements brings."""
    found, waiting = {}, [Requirement(r) for r in requirements]
    while waiting:
        need = waiting.pop()
        if need.marker is not None and not need.marker.evaluate({'extra': ''}):
            continue
        try:
            one = importlib.metadata.distribution(need.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # what runs here runs without it
        if one.metadata['Name'] not in found:
            assert need.specifier.contains(one.version, prereleases=True), f'{need} but {one.version} is installed'
            found[one.metadata['Name']] = one
            waiting += [Requirement(r) for r in one.requires or ()]
    return found.values()


class Environment:
    def __init__(self, folder, requirements):
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / 'bin' / 'python'
        self.site = next((folder / 'lib').glob('python*/site-packages'))
        for one in closure(requirements):
            for name in {f.parts[0] for f in one.files if f.parts[0] not in ('..', '__pycache__')}:
                (self.site / name).symlink_to(Path(one.locate_file(name)).resolve())
        for room in ('tiletwin', 'ops', 'pass_configs'):
            (self.site / room).symlink_to(ROOT / room)
        self.folder = folder

    def run(self, *args, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(('TL_', 'TILETWIN_', 'ASCEND', 'TORCH_DEVICE', 'PYTHON'))}
        return subprocess.run([self.python, *args], env={**env, 'PYTHONDONTWRITEBYTECODE': '1', **more}, cwd=self.folder, capture_output=True, text=True)

    def tiletwin(self, *args, **more):
        return self.run('-m', 'tiletwin', *args, **more)


@pytest.fixture(scope='module')
def sim(tmp_path_factory):
    return Environment(tmp_path_factory.mktemp('sim'), PROJECT['dependencies'] + PROJECT['optional-dependencies']['sim'])


@pytest.fixture(scope='module')
def fork(tmp_path_factory):
    """What makes a tilelang the fork's, and nothing else of it."""
    made = Environment(tmp_path_factory.mktemp('fork'), PROJECT['dependencies'])
    for file, text in (('__init__.py', ''), ('language/__init__.py', ''), ('language/reduce_ascend.py', ''), ('transform/__init__.py', ''),
                       ('transform/pass_config.py', 'TL_ASCEND_AUTO_SYNC = "tl.ascend_auto_sync"\n')):
        (made.site / 'tilelang' / file).parent.mkdir(parents=True, exist_ok=True)
        (made.site / 'tilelang' / file).write_text(text)
    return made


@pytest.fixture(scope='module')
def no_toolkit(tmp_path_factory):
    """torch_npu as it behaves without the toolkit: torch loads it by itself, and it fails."""
    made = Environment(tmp_path_factory.mktemp('no_toolkit'), PROJECT['dependencies'] + PROJECT['optional-dependencies']['sim'])
    info = made.site / 'torch_npu-2.13.0.dist-info'
    for folder in (made.site / 'torch_npu', info):
        folder.mkdir()
    (made.site / 'torch_npu' / '__init__.py').write_text("raise ImportError('libhccl.so: cannot open shared object file: No such file or directory')\n")
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: torch_npu\nVersion: 2.13.0\n')
    (info / 'entry_points.txt').write_text('[torch.backends]\ntorch_npu = torch_npu:_autoload\n')
    return made


def said(done, status, *texts):
    everything = done.stdout + done.stderr
    assert done.returncode == status and all(t in everything for t in texts), (done.returncode, everything)


def test_with_the_simulator_alone_everything_simulated_works(sim):
    said(sim.run('-c', 'import pytest'), 1, 'ModuleNotFoundError')
    said(sim.run('-c', 'import tiletwin'), 0)
    said(sim.tiletwin('doctor'), 0, '0.1.15, mainline package', '(in force)')
    said(sim.tiletwin('compare', 'softmax', '--case', 'minimum'), 0, 'developer and expert agree')
    said(sim.tiletwin('bench', 'softmax', '--backend', 'ascend'), 2, 'mainline package')


def test_with_the_fork_the_simulator_is_not_used_instead(fork):
    said(fork.run('-c', 'import tiletwin'), 0)
    said(fork.run('-c', 'from tiletwin import language; print(language.__name__)'), 0, 'tilelang.language')
    said(fork.tiletwin('doctor'), 2, 'tilelang-ascend fork', 'ascend', 'cannot run kernels (in force)', 'torch and torch_npu are not installed')
    said(fork.tiletwin('compare', 'softmax'), 2, 'needs the simulator', 'the Ascend fork', 'pip install "tiletwin[sim]"')
    said(fork.tiletwin('compare', 'softmax', TILETWIN_BACKEND='simulator'), 2, "the backend 'simulator' cannot run here", 'the Ascend fork')


def test_with_torch_npu_and_no_toolkit_the_simulator_works(no_toolkit):
    said(no_toolkit.run('-c', 'import torch'), 1, 'TORCH_DEVICE_BACKEND_AUTOLOAD=0')
    said(no_toolkit.run('-c', 'import tiletwin, torch'), 0)
    said(no_toolkit.tiletwin('doctor'), 0, 'trap: autoload', 'export TORCH_DEVICE_BACKEND_AUTOLOAD=0', 'ASCEND_HOME_PATH is not set')
    said(no_toolkit.tiletwin('compare', 'softmax', '--case', 'minimum'), 0, 'developer and expert agree')
    said(no_toolkit.tiletwin('bench', 'softmax', '--backend', 'ascend'), 2, 'ASCEND_HOME_PATH is not set')


def test_nothing_at_all_installed_is_said_with_the_command_for_it(tmp_path):
    bare = Environment(tmp_path, PROJECT['dependencies'])
    said(bare.tiletwin('doctor'), 2, 'cannot run kernels (in force): needs tilelang and torch', 'pip install "tiletwin[sim]"')
    said(bare.tiletwin('compare', 'softmax'), 2, 'needs tilelang and torch')


def test_the_npu_extra_names_no_tilelang():
    """The fork is built from source: naming its distribution would let pip replace it by mainline."""
    extras = PROJECT['optional-dependencies']
    assert not [r for r in PROJECT['dependencies'] + extras['npu'] if 'tilelang' in r] and 'torch_npu' in extras['npu']
    assert 'tilelang==0.1.15' in extras['sim']
