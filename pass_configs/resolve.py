"""From a `pass_configs` argument to the four switches: contradictions are refused, sets without effect are warned about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from tiletwin.errors import DialectError, DialectTypeError

from . import AUTO_SYNC, CV_COMBINE, CV_SYNC, EXPERT, KEYS, MEMORY_PLANNING


@dataclass(frozen=True, slots=True)
class Resolved:
    auto_sync: bool
    memory_planning: bool
    cv_combine: bool
    cv_sync: bool  # as asked; it acts only together with cv_combine
    warnings: tuple[str, ...] = ()

    @property
    def crosses(self) -> bool:
        """Cross-core flags are really inserted."""
        return self.cv_combine and self.cv_sync


def resolve(configs: Mapping[Any, Any] | None, explicit_scopes: bool = False) -> Resolved:
    """The switches of `configs`. Keys are config strings or enum members whose value is one.

    `explicit_scopes`: the kernel holds `T.Scope` blocks of its own.
    """
    switches: dict[str, bool] = dict(EXPERT)
    given: set[str] = set()
    for key, value in (configs or {}).items():
        name = getattr(key, 'value', key)
        if not isinstance(name, str):
            raise DialectTypeError(f'pass config key {key!r} is not a config name', instead='one of ' + ', '.join(KEYS))
        if name not in KEYS:
            if name.startswith('tl.ascend_'):
                raise DialectError(f'unknown pass config {name!r}', why='the compiler would ignore it without a word',
                                   instead='one of ' + ', '.join(KEYS))
            continue  # options of the compiler that have nothing to do with the four passes
        if not isinstance(value, bool):
            raise DialectTypeError(f'pass config {name!r} is {value!r}', why='the switch is on or off', instead='True or False')
        if name in given and switches[name] != value:
            raise DialectError(f'pass config {name!r} is both on and off', why='it is given once as a string and once as an enum member',
                               instead='one of the two')
        given.add(name)
        switches[name] = value
    return Resolved(switches[AUTO_SYNC], switches[MEMORY_PLANNING], switches[CV_COMBINE], switches[CV_SYNC],
                    tuple(_warnings(switches, explicit_scopes)))


def _warnings(switches: dict[str, bool], explicit_scopes: bool):
    if switches[CV_SYNC] and not switches[CV_COMBINE]:
        yield f'{CV_SYNC} has no effect: cross-core flags are inserted while cube and vector code are split, which {CV_COMBINE} does'
    if switches[CV_COMBINE] and explicit_scopes:
        yield f'{CV_COMBINE} splits cube and vector code itself: T.Scope blocks written by hand are split a second time'
