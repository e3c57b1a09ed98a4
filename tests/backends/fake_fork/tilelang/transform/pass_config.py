from enum import Enum


class PassConfigKey(str, Enum):
    TL_ASCEND_AUTO_SYNC = 'tl.ascend_auto_sync'
    TL_ASCEND_MEMORY_PLANNING = 'tl.ascend_memory_planning'
    TL_ASCEND_AUTO_CV_COMBINE = 'tl.ascend_auto_cv_combine'
    TL_ASCEND_AUTO_CV_SYNC = 'tl.ascend_auto_cross_core_sync'
    TL_SIMPLIFY = 'tl.Simplify'
