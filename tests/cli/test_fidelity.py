"""`tiletwin fidelity` on a few rows, and the committed page against what the command says now."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.fidelity.rows import COLUMNS, PIPES, read
from tiletwin.cli import main
from tiletwin.commands import fidelity

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'fidelity.md'
# Cheap rows of every kind.
QUICK = [r for r in read() if r.cat in ('bank', 'gemm_mxfp8', 'fa_fwd_fewcore') or r.cat == 'dma' and '64x1024' in r.kernel
         or r.cat == 'gemm_small' and r.hw == '950' or r.cat == 'gemm' and r.shape == 'm=k=n=1536']


@pytest.fixture(scope='module')
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp('rows') / 'rows.csv'
    with path.open('w', newline='') as f:
        out = csv.writer(f)
        out.writerow(COLUMNS)
        for r in QUICK:
            busy = dict(r.busy)
            out.writerow([busy.get(c, '') if c in PIPES else getattr(r, c) for c in COLUMNS])
    return path


def test_any_table_with_the_columns_is_scored(table, capsys):
    assert main(['fidelity', '--rows', str(table), '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    assert found['command'] == 'fidelity' and [r['id'] for r in found['rows']] == [r.id for r in QUICK]
    timed = [r for r in found['rows'] if r['kind'] == 'scored']
    assert len(timed) >= 10 and all(abs(r['error']) <= 0.2 for r in timed), 'no row whose schedule is known is off by more than 20 %'
    assert found['scores']['scored'][-1]['mape'] <= 0.08


def test_the_table_on_a_terminal(table, capsys):
    assert main(['fidelity', '--rows', str(table), '--category', 'bank', '--category', 'gemm_mxfp8']) == 0
    text = capsys.readouterr().out
    assert 'Rows with a known schedule' in text and 'no model for 2 rows (gemm_mxfp8): the dialect has no product of block-scaled types' in text
    assert 'modelled: computed by tiletwin; measured: published by the source of the row' in text


def test_the_plot_is_written_beside_the_table(table, tmp_path, capsys):
    assert main(['fidelity', '--rows', str(table), '--category', 'bank', '--markdown', '--plot', str(tmp_path / 'p.svg')]) == 0
    assert capsys.readouterr().out.startswith('# Modelled against measured')
    assert ET.parse(tmp_path / 'p.svg').getroot().tag.endswith('svg')


def test_the_committed_page_is_what_the_command_says(table, capsys):
    """Of the cheap rows, each line of the table; of all rows, that none is missing."""
    assert main(['fidelity', '--rows', str(table), '--markdown']) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match(r'\| m\d+ ', line)]
    kept = PAGE.read_text(encoding='utf-8').splitlines()
    assert lines and not set(lines) - set(kept), 'python -m tiletwin fidelity --markdown --plot docs/fidelity.svg > docs/fidelity.md'


@pytest.mark.parametrize('words, message', [
    (['--rows', 'absent.csv'], 'cannot be read'), (['--category', 'nothing'], 'no row of category nothing'),
])
def test_what_cannot_be_read_is_refused(words, message, capsys):
    assert main(['fidelity', *words]) == 2
    assert message in capsys.readouterr().err


def test_without_a_checkout_the_command_says_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fidelity, '__file__', str(tmp_path / 'tiletwin' / 'commands' / 'fidelity.py'))
    assert main(['fidelity']) == 2
    assert 'needs a checkout of the project' in capsys.readouterr().err
