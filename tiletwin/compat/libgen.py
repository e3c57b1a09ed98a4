"""The classes scripts patch to compile without a device compiler. There is none to keep from running here."""

from __future__ import annotations

from typing import Any


class LibraryGenerator:
    """Would turn source into a shared library."""

    def __init__(self, target: Any = None, platform: str = 'auto'):
        self.target, self.platform, self.lib_code, self.srcpath, self.libpath = target, platform, None, None, None

    def update_lib_code(self, lib_code: str) -> None:
        self.lib_code = lib_code

    def compile_lib(self, timeout: float | None = None) -> None:
        """The simulator needs no library."""

    def load_lib(self, lib_path: str | None = None) -> None:
        """The simulator needs no library."""

    def remove_lib(self) -> None:
        """The simulator makes no library."""

    def get_source_path(self) -> str | None:
        return self.srcpath

    def get_lib_path(self) -> str | None:
        return self.libpath


class CythonKernelAdapter:
    """Would call the shared library; kernels of the simulator are called directly."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.args, self.kwargs = args, kwargs
