"""Rows are read and classified by what they say, not by what they are called."""

import csv
import dataclasses
from collections import Counter

import pytest

from bench.fidelity import evaluate, fit, registry, score
from bench.fidelity.registry import Modelled, Skip
from bench.fidelity.rows import COLUMNS, TABLE, Row, read
from tiletwin.errors import EnvironmentError_
from tiletwin.machine.chip import CHIPS, entries, part

ROWS = read()


def row(cat, kernel, shape, hw='910B1', cores='24', dtype='fp16->fp16', impl='AscendC', us=1.0, src='asc-devkit@0 x'):
    return Row('new', cat, hw, cores, impl, kernel, shape, dtype, us, (), '', src)


def test_every_row_is_classified_and_a_row_left_out_says_why():
    assert len(ROWS) == 432
    for r in ROWS:
        found = evaluate.classify(r)
        assert len(found.reason if isinstance(found, Skip) else found.schedule) > 10, r.id


def test_the_id_of_a_row_decides_nothing():
    for r in ROWS:
        a, b = evaluate.classify(r), evaluate.classify(dataclasses.replace(r, id='x'))
        assert type(a) is type(b)
        if isinstance(a, Modelled):
            assert (a.kind, a.schedule, a.clock) == (b.kind, b.schedule, b.clock)
        else:
            assert a.reason == b.reason


UNSEEN = [
    (row('gemm', 'gemm base 128x64x256 stepK4, 1 L0C buf', 'm=k=n=3072', 'A3', dtype='fp16->fp32', impl='PTO manual'), 'panels of 4 steps'),
    (row('gemm', '128x256x64, 4x6 core split, stepKa8 stepKb4', '4096^3', impl='AscendC basic API'), '4x6 cores'),
    (row('gemm', 'C2 single core split', '4096^3', cores='1', impl='AscendC Matmul API'), 'one step of K in L1'),
    (row('gemm_small', 'ASWT, L1 256,256,128', '4096x2048x512', '950', '32', 'fp16->fp32', 'catlass'), 'L1 256x256x128'),
    (row('dma', 'GM->UB tile 16x256, 48 AIV', '8192x8192', cores='48'), 'tiles of 16x256'),
    (row('dma', 'GM->L1 nd2nz 64x128', '12288x12288'), 'tiles of 64x128'),
    (row('dma', 'GM->L1 N/2 slices x2', '12288x12288', '950PR', '32'), '2 slices read 2 times'),
    (row('dma_conflict', 'GM->L1 same-address order, 24 AIC', '6144x512 read by every core'), 'in the same order'),
    (row('elementwise', 'Add C4 double buffer tile 8192', '8192x8192', cores='48'), '2 sets of buffers of 8192'),
    (row('bank', 'Add fp32 2048 elem x100, no conflict', '2048', '910B', '1', 'fp32'), 'operands at'),
]


@pytest.mark.parametrize('unseen, schedule', UNSEEN, ids=[r.kernel for r, _ in UNSEEN])
def test_rows_that_are_not_in_the_table_are_modelled_by_their_text(unseen, schedule):
    found = registry.find(unseen)
    assert isinstance(found, Modelled) and found.kind == 'scored' and schedule in found.schedule


@pytest.mark.parametrize('unseen', [row('nothing like it', 'k', '1'), row('dma', 'GM->UB', 'all of it'), row('gemm', 'k', 'big', dtype='mxfp8'),
                                    row('elementwise', 'Add C9', '8192x8192', cores='48'), row('gemm_mxfp8', 'mxfp8 matmul', '2048^3')])
def test_what_a_row_does_not_say_is_not_guessed(unseen):
    assert isinstance(registry.find(unseen), Skip)


@pytest.mark.parametrize('hw, cores, clock, count', [
    ('910B1', '24', 1850, 24), ('910B2', '24/48', 1800, 24), ('910B3', '20', 1800, 20), ('A3', '20', 1850, 20), ('A2/A3', '20', 1850, 20),
    ('950PR', '64', 1650, 32), ('910B1', '1', 1850, 24),
])
def test_a_row_runs_on_its_part(hw, cores, clock, count):
    chip = row('x', 'x', 'x', hw, cores).chip
    assert (chip.clock_mhz, chip.cube_cores) == (clock, count)


def test_an_unknown_part_is_refused():
    with pytest.raises(EnvironmentError_, match='unknown chip'):
        part('Z1')


def write(path, lines, columns=COLUMNS):
    with path.open('w', newline='') as f:
        out = csv.writer(f)
        out.writerow(columns)
        out.writerows(lines)
    return path


@pytest.mark.parametrize('us', ['-3', '0', 'fast', 'inf', 'nan'])
def test_a_time_that_is_no_time_is_refused_with_its_line(tmp_path, us):
    line = ['a', 'dma', '910B1', '48', '', 'GM->UB 64x1024', '128x1024', 'fp16', us, *[''] * 9]
    with pytest.raises(EnvironmentError_, match=':2: us is'):
        read(write(tmp_path / 'rows.csv', [line]))


def test_a_table_without_a_column_and_a_file_that_is_none_are_refused(tmp_path):
    with pytest.raises(EnvironmentError_, match='has no column us, vec'):
        read(write(tmp_path / 'rows.csv', [], COLUMNS[:8]))
    with pytest.raises(EnvironmentError_, match='cannot be read'):
        read(tmp_path / 'absent.csv')
    (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(EnvironmentError_, match='cannot be read'):
        read(tmp_path / 'binary')


def test_no_category_has_two_models():
    with pytest.raises(ValueError, match='two models for the rows of dma'):
        registry.find(ROWS[0])
        registry.models('dma')(lambda r: Skip('x'))


def test_only_categories_of_the_table_can_be_chosen():
    assert {r.cat for r in score.chosen(categories=['dma'])} == {'dma'}
    with pytest.raises(EnvironmentError_, match='no row of category dmb'):
        score.chosen(categories=['dmb'])
    assert Counter(evaluate.classify(r).kind for r in score.chosen(scored=True)).keys() == {'scored'}


# -- the fit ----------------------------------------------------------------------------------------------------------
def test_every_scored_row_has_its_slopes():
    assert {fit.name(r) for r in score.chosen(scored=True)} == set(fit.records()), 'python -m bench.fidelity.fit --missing'


def test_committed_slopes_are_those_of_the_model():
    for r in ROWS:
        if r.cat == 'dma' and r.kernel in ('GM->UB tile 64x1024', 'GM->L1 N/4 slices x4'):
            found = fit.record(score.outcome(r))
            kept = fit.records()[fit.name(r)]
            assert found.slopes == pytest.approx(kept.slopes, abs=0.03)
            assert found.gap == pytest.approx(kept.gap, abs=0.02)


def test_a_fit_finds_the_constants_that_made_the_times():
    """Synthetic rows whose gaps come from known changes of two constants; priors pull, but many rows pull harder."""
    names = {'gm.hbm': 0.05, 'gm_to_l1.cap_shared': -0.08}
    slopes = [{'gm.hbm': -0.1 * i, 'gm_to_l1.cap_shared': -1 + 0.1 * i} for i in range(11)]
    rows = [fit.Record('a2', sum(s[k] * v for k, v in names.items()), s, {}, {}) for s in slopes for _ in range(50)]
    found = fit.solve(rows)
    assert {k: found[f'a2:{k}'] for k in names} == pytest.approx(names, abs=0.005)


def test_a_constant_that_no_row_knows_goes_to_what_was_published_for_it():
    key = 'a2:gm_to_ub.latency'
    found = fit.solve([fit.Record('a2', 0.0, {'gm_to_ub.latency': 0.0}, {}, {})])
    assert found[key] == pytest.approx(fit.distance(key))


@pytest.mark.parametrize('chip', CHIPS)
def test_a_fitted_constant_says_what_was_published_before(chip):
    for key in fit.free(chip):
        assert fit._size(entries(chip)[key]['prior']) > 0, key


def test_slopes_belong_to_rows_of_the_table():
    names = {fit.name(r) for r in ROWS}
    assert set(fit.records()) <= names and TABLE.is_file()
