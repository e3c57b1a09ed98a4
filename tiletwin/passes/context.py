"""What every pass is told: configs, target, chip and profile; and where it leaves its warnings."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import Span
from ..machine.chip import Chip

AUTO_SYNC = 'tl.ascend_auto_sync'
MEMORY_PLANNING = 'tl.ascend_memory_planning'
AUTO_CV_COMBINE = 'tl.ascend_auto_cv_combine'
AUTO_CV_SYNC = 'tl.ascend_auto_cross_core_sync'
KEYS = (AUTO_SYNC, MEMORY_PLANNING, AUTO_CV_COMBINE, AUTO_CV_SYNC)
SAFE_ACCESS_OFF = 'tl.disable_safe_memory_legalize'
PROFILES = ('fork', 'sound')


@dataclass(frozen=True, slots=True)
class PassWarning:
    pass_name: str
    message: str
    where: Span | None = None
    changes_meaning: bool = False  # the compiled program no longer does what the source says


@dataclass(frozen=True, slots=True)
class PassContext:
    chip: Chip
    target: str = 'ascendc'  # 'ascendc' or 'pto'
    configs: frozenset[str] = frozenset()  # the keys of KEYS that are on, and SAFE_ACCESS_OFF
    profile: str = 'fork'  # 'fork': what the real compiler does, its gaps included; 'sound': what correctness needs
    warnings: list[PassWarning] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return self.profile == 'sound'

    def on(self, key: str) -> bool:
        return key in self.configs

    def warn(self, pass_name: str, message: str, where: Span | None = None, changes_meaning: bool = False) -> None:
        self.warnings.append(PassWarning(pass_name, message, where, changes_meaning))
