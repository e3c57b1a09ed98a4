"""The engine benchmark measures what it says; its figures are not judged here."""

import json
import sys

import pytest
import torch

from bench.engine import __main__ as command
from bench.engine import maths, timing
from ops.expert.softmax import softmax


def test_a_subject_is_measured_in_both_ways_and_checked_against_torch():
    x = torch.randn(64, 256)
    good = maths.measure(maths.Subject('small', 1.0, softmax(64, 256), (x,), lambda: torch.softmax(x, -1), 1e-4), rounds=2)
    assert good.right and good.verdict == 'clean'
    assert good.engine_ms > 0 and good.again_ms > 0 and good.torch_ms > 0
    assert good.ratio == pytest.approx(good.engine_ms / good.torch_ms)
    wrong = maths.measure(maths.Subject('small', 1.0, softmax(64, 256), (x,), lambda: torch.softmax(x, -1) + 1, 1e-4), rounds=1)
    assert not wrong.right


def test_the_command_prints_targets_and_writes_json(tmp_path, monkeypatch, capsys):
    x = torch.randn(64, 256)
    monkeypatch.setattr(maths, 'subjects', lambda: [maths.Subject('small', 5.0, softmax(64, 256), (x,), lambda: torch.softmax(x, -1), 1e-4)])
    out = tmp_path / 'figures.json'
    monkeypatch.setattr(sys, 'argv', ['bench.engine', '--only', 'maths', '--rounds', '1', '--json', str(out)])
    assert command.main() == 0
    assert '<= 5' in capsys.readouterr().out
    (row,) = json.loads(out.read_text())['maths']
    assert row['name'] == 'small' and row['target'] == 5.0


def test_timing_without_data_says_what_it_simulated(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(timing, 'subjects', lambda: [timing.Subject('matmul.mkkn_gemm', {'M': 512, 'N': 1024, 'K': 16384})])
    out = tmp_path / 'figures.json'
    monkeypatch.setattr(sys, 'argv', ['bench.engine', '--only', 'timing', '--json', str(out)])
    assert command.main() == 0
    assert '<= 60 met' in capsys.readouterr().out
    (row,) = json.loads(out.read_text())['timing']
    assert row['name'] == 'matmul.mkkn_gemm M=512 N=1024 K=16384' and row['verdict'] == 'clean'
    assert 0 < row['simulated'] < row['events'] and row['seconds'] > 0 and row['us'] > 0
