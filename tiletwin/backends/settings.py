"""What a kernel leaves open and the environment decides: chip, code generator, passes, how strict a call is."""

from __future__ import annotations

import os
from typing import Any

from ..errors import DialectError, DialectTypeError, EnvironmentError_
from ..passes.context import PROFILES
from .pass_config_keys import PassConfigKey

TARGETS = {'auto': 'ascendc', 'ascendc': 'ascendc', 'pto': 'pto'}
PLATFORMS = ('A2', 'A3', 'A5')


def determine_platform(platform: str = 'auto') -> str:
    """The chip: the argument, TL_PLATFORM, TILETWIN_ARCH, or A3."""
    source = 'platform'
    if str(platform).lower() == 'auto':
        for source in ('TL_PLATFORM', 'TILETWIN_ARCH'):
            if os.environ.get(source):
                platform = os.environ[source]
                break
        else:
            return 'A3'
    found = str(platform).upper()
    if found not in PLATFORMS:
        raise EnvironmentError_(f'{source}={platform!r} is no known chip', why='the machine room describes ' + ', '.join(PLATFORMS),
                                instead='A2, A3 or A5')
    return found


def target_of(target: str) -> str:
    """The code generator: the argument, TILETWIN_TARGET, or AscendC."""
    if target == 'auto':
        target = os.environ.get('TILETWIN_TARGET') or 'auto'
    found = TARGETS.get(target) if isinstance(target, str) else None
    if found is None:
        raise DialectError(f'Target {target} is not supported', why='kernels are generated as AscendC or PTO source',
                           instead='"auto", "ascendc" or "pto"')
    return found


def configs_of(pass_configs: dict | None) -> dict[str, Any]:
    from pass_configs.resolve import resolve

    if pass_configs is not None and not isinstance(pass_configs, dict):
        raise DialectTypeError(f'pass_configs is {pass_configs!r}', why='it maps config names to values', instead='{"tl.ascend_auto_sync": True}')
    known = {k.value for k in PassConfigKey}
    found: dict[str, Any] = {}
    for key, value in (pass_configs or {}).items():
        name = key.value if isinstance(key, PassConfigKey) else key
        if name not in known:
            raise DialectError(f'Invalid config option {name!r}', why='the compiler knows no pass of this name',
                               instead='one of ' + ', '.join(sorted(known)))
        found[name] = value
    resolve(pass_configs)
    return found


def profile_of() -> str:
    """Whose passes: those of the real compiler ('fork'), or of one that inserts what correctness needs ('sound')."""
    found = os.environ.get('TILETWIN_PROFILE', 'fork')
    if found not in PROFILES:
        raise EnvironmentError_(f'TILETWIN_PROFILE={found!r} is no profile of the passes', instead=' or '.join(PROFILES))
    return found


def strict_shapes() -> bool:
    """Whether a GM tensor must have exactly the declared shape; TILETWIN_STRICT_SHAPES=0 accepts larger ones."""
    return os.environ.get('TILETWIN_STRICT_SHAPES', '1') != '0'


def unchecked_calls() -> bool:
    """Whether calls are taken as the runtime takes them: shapes are not compared, surplus arguments are ignored."""
    return os.environ.get('TILETWIN_LENIENT', '0') == '1'


def sanitizing() -> bool:
    """Whether launches are checked; TILETWIN_SANITIZE=0 leaves numbers and times only."""
    return os.environ.get('TILETWIN_SANITIZE', '1') != '0'


def moving_data() -> bool:
    """Whether calls compute; TILETWIN_DATA=0 leaves times and findings only, and outputs unwritten."""
    return os.environ.get('TILETWIN_DATA', '1') != '0'
