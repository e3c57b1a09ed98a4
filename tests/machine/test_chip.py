"""What a chip file promises."""

import tomllib
from importlib import resources

import pytest

from tiletwin.errors import EnvironmentError_, Span
from tiletwin.ir.ops import ROUTES
from tiletwin.machine.chip import CHIPS, capacity_error, chip, path_error


@pytest.mark.parametrize('name', CHIPS)
def test_every_constant_states_its_unit_and_source(name):
    raw = tomllib.loads(resources.files('tiletwin.machine').joinpath(f'{name}.toml').read_text())
    entries = [(section, key, entry) for section, table in raw.items() if isinstance(table, dict) for key, entry in table.items()]
    assert entries
    for section, key, entry in entries:
        assert entry.keys() <= {'value', 'unit', 'source', 'fitted_on', 'prior', 'prior_source', 'align'}, f'{section}.{key}'
        fitted = {'fitted_on', 'prior', 'prior_source'} & entry.keys()
        assert len(fitted) in (0, 3), f'{section}.{key}: a fitted constant also says what was published before the fit'
        assert entry['unit'] and len(entry['source']) > 10, f'{section}.{key}'


@pytest.mark.parametrize('alias, name', [
    ('a2', 'a2'), ('A3', 'a3'), ('910B', 'a2'), ('910C', 'a3'), ('910_93', 'a3'), ('910_95', 'a5'), ('950', 'a5'),
])
def test_aliases_name_the_same_object(alias, name):
    assert chip(alias) is chip(name)
    assert chip(alias).name == name


def test_unknown_chip_lists_what_there_is():
    with pytest.raises(EnvironmentError_) as refused:
        chip('h100')
    assert all(word in str(refused.value) for word in ("'h100'", 'a2', 'a3', 'a5', '910b', '910c', '950'))


# dialect 3.2 and hardware 1.3, 1.4
@pytest.mark.parametrize('name, space, size, align', [
    ('a2', 'L1', 524288 - 256, 32), ('a2', 'UB', 196608 - 256, 32), ('a2', 'L0A', 65536, 512), ('a2', 'L0B', 65536, 512), ('a2', 'L0C', 131072, 64),
    ('a3', 'UB', 196608 - 256, 32), ('a3', 'L0C', 131072, 64), ('a5', 'UB', 248 * 1024, 32), ('a5', 'L0C', 262144, 64),
    ('a5', 'L1', 524288 - 256, 32),
])
def test_capacities_and_alignments(name, space, size, align):
    assert (chip(name).memories[space].bytes, chip(name).memories[space].align) == (size, align)


@pytest.mark.parametrize('name, direct', [('a2', False), ('a3', False), ('a5', True)])
def test_only_a5_joins_cube_and_vector_without_gm(name, direct):
    for pair in (('L0C', 'UB'), ('UB', 'L1')):
        assert (pair in chip(name).paths) is direct
    assert chip(name).paths | {('L0C', 'UB'), ('UB', 'L1')} == set(ROUTES)


@pytest.mark.parametrize('name', CHIPS)
def test_flag_limits(name):
    c = chip(name)
    assert (c.event_ids, c.cross_flags, c.cross_counter, c.cross_reserved) == (8, 16, 15, (11, 12, 13, 14))
    assert ('MTE2', 'MTE1') in c.flag_pairs['AIC'] and ('MTE2', 'V') in c.flag_pairs['AIV']
    assert ('MTE2', 'V') not in c.flag_pairs['AIC'] and ('FIX', 'M') not in c.flag_pairs['AIV']
    assert ('V', 'V') not in c.flag_pairs['AIV']
    assert (c.needs_v_barrier, c.cross_wait_blocks_core) == ((False, False) if name == 'a5' else (True, True))


def test_capacity_error_prints_the_whole_byte_map():
    rows = [('b', 131072, 98304, Span('k.py', 12)), ('a', 0, 131072, Span('k.py', 11))]
    text = str(capacity_error(chip('a3'), 'UB', rows))
    assert "'b' does not fit, 33024 bytes too many" in text
    assert '--> k.py:12' in text
    lines = [line.split() for line in text.splitlines()]
    assert ['a', '0', '131072', '131072', 'k.py:11'] in lines
    assert ['b', '131072', '229376', '98304', 'k.py:12', '<-', 'beyond', '196352'] in lines


def test_path_error_says_the_way_round():
    text = str(path_error(chip('a2'), 'L0C', 'UB', Span('k.py', 7)))
    assert text.startswith('no data path L0C -> UB on a2') and '--> k.py:7' in text
    assert 'L0C->GM' in text and 'workspace' in text
