"""Layout constructors, under the name kernels import them from."""

from __future__ import annotations

from .installed import FORK, tilelang_kind

if tilelang_kind() == FORK:
    from tilelang.intrinsics import make_col_major_layout, make_nz_layout, make_zn_layout
else:
    from .language.layout import make_col_major_layout, make_nz_layout, make_zn_layout

__all__ = ['make_col_major_layout', 'make_nz_layout', 'make_zn_layout']
