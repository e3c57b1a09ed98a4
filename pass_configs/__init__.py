"""The mode presets: which of the compiler's four automatic passes a kernel asks for.

Plain dictionaries keyed by the config strings, so that a kernel file works wherever these keys are known.
"""

AUTO_SYNC = 'tl.ascend_auto_sync'
MEMORY_PLANNING = 'tl.ascend_memory_planning'
CV_COMBINE = 'tl.ascend_auto_cv_combine'
CV_SYNC = 'tl.ascend_auto_cross_core_sync'
KEYS = (AUTO_SYNC, MEMORY_PLANNING, CV_COMBINE, CV_SYNC)

# Everything by hand: scopes, addresses, flags, barriers.
EXPERT = {AUTO_SYNC: False, MEMORY_PLANNING: False, CV_COMBINE: False, CV_SYNC: False}
# Nothing by hand.
DEVELOPER = {AUTO_SYNC: True, MEMORY_PLANNING: True, CV_COMBINE: True, CV_SYNC: True}
# A kernel without cube code has no cores to combine and nothing to signal between them.
VECTOR_ONLY = {AUTO_SYNC: True, MEMORY_PLANNING: True, CV_COMBINE: False, CV_SYNC: False}
# The developer passes under hand-picked T.tile primitives: the passes are those of DEVELOPER, the kernel text is not.
MIXED = dict(DEVELOPER)

PRESETS = {'expert': EXPERT, 'developer': DEVELOPER, 'vector-only': VECTOR_ONLY, 'mixed': MIXED}
