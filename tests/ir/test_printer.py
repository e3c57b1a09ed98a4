"""The text of a Program is fixed: golden files hold it. Set TILETWIN_REFRESH_GOLDEN=1 to write them anew after a deliberate change."""

import os
from pathlib import Path

import pytest

from tiletwin.ir.printer import text
from tiletwin.ir.verify import verify

from .kernels import KERNELS

GOLDEN = Path(__file__).parent / 'golden'


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TILETWIN_CACHE_DIR', str(tmp_path))


@pytest.mark.parametrize('name', KERNELS)
def test_golden(name):
    printed = text(verify(KERNELS[name]().program))
    path = GOLDEN / f'{name}.txt'
    if os.environ.get('TILETWIN_REFRESH_GOLDEN'):
        path.write_text(printed)
    assert printed == path.read_text()


@pytest.mark.parametrize('name', KERNELS)
def test_the_span_column_adds_lines_and_changes_nothing_else(name):
    program = KERNELS[name]().program
    plain, spanned = text(program).splitlines(), text(program, spans=True, width=0).splitlines()
    assert [line.split('  # ')[0] for line in spanned] == plain
    own = str(Path(__file__).parent / 'kernels.py')
    marked = [line for line in spanned if '  # ' in line]
    assert marked and all(line.split('  # ')[1].startswith(f'{own}:') for line in marked)


def test_every_golden_file_belongs_to_a_kernel():
    assert {p.stem for p in GOLDEN.glob('*.txt')} == set(KERNELS)
