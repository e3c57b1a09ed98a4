"""Keeps `import torch` working where torch_npu is installed but the vendor toolkit is not.

torch loads torch_npu by itself when it is imported, and torch_npu fails without the toolkit's libraries; after that torch cannot be
imported again in the same process. Switching the automatic loading off must therefore come before the first import of torch.
"""

from __future__ import annotations

import os
import sys

from .installed import find


def guard() -> None:
    if 'torch' in sys.modules or find('torch_npu') is None:
        return
    import ctypes

    try:
        ctypes.CDLL('libascendcl.so')
    except OSError:
        os.environ.setdefault('TORCH_DEVICE_BACKEND_AUTOLOAD', '0')
