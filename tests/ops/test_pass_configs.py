"""The presets and the resolver: contradictions refused, sets without effect warned about."""

import enum
import itertools

import pytest

import pass_configs as P
from pass_configs.resolve import resolve
from tiletwin.errors import DialectError, DialectTypeError


class Key(str, enum.Enum):
    SYNC = P.AUTO_SYNC


@pytest.mark.parametrize('name, switches', [
    ('expert', (False, False, False, False)), ('developer', (True, True, True, True)),
    ('vector-only', (True, True, False, False)), ('mixed', (True, True, True, True)),
])
def test_presets_resolve_to_their_switches_without_a_warning(name, switches):
    got = resolve(P.PRESETS[name])
    assert (got.auto_sync, got.memory_planning, got.cv_combine, got.cv_sync) == switches
    assert got.warnings == ()
    assert set(P.PRESETS[name]) == set(P.KEYS)


def test_no_config_is_expert():
    assert resolve(None) == resolve({}) == resolve(P.EXPERT)


@pytest.mark.parametrize('combine, sync, scopes', list(itertools.product((False, True), repeat=3)))
def test_warnings_name_the_switch_that_has_no_effect(combine, sync, scopes):
    got = resolve({P.CV_COMBINE: combine, P.CV_SYNC: sync}, explicit_scopes=scopes)
    assert any('no effect' in w for w in got.warnings) == (sync and not combine)
    assert any('T.Scope' in w for w in got.warnings) == (combine and scopes)
    assert got.crosses == (combine and sync)


def test_enum_members_are_keys():
    assert resolve({Key.SYNC: True}).auto_sync


def test_one_switch_given_twice_with_two_values_is_refused():
    class Other:
        value = P.AUTO_SYNC

    with pytest.raises(DialectError, match='both on and off'):
        resolve({P.AUTO_SYNC: True, Other: False})


def test_unknown_ascend_key_is_refused_and_other_options_pass():
    with pytest.raises(DialectError, match='tl.ascend_auto_synch'):
        resolve({'tl.ascend_auto_synch': True})
    assert resolve({'tl.Simplify': False}) == resolve({})


@pytest.mark.parametrize('configs', [{P.AUTO_SYNC: 1}, {P.AUTO_SYNC: 'on'}, {7: True}])
def test_wrong_kinds_are_refused(configs):
    with pytest.raises(DialectTypeError):
        resolve(configs)
