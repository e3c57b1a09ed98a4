"""Element types: sizes, spellings, and what each is to numpy and torch."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import DialectError


@dataclass(frozen=True, slots=True)
class DType:
    name: str
    bytes: int
    kind: str  # 'f' float, 'i' signed, 'u' unsigned, 'b' bool
    ascendc: str  # spelling in AscendC

    @property
    def block(self) -> int:
        """Elements in one 32-byte block (C0)."""
        return 32 // self.bytes


_ALL = (
    DType('float16', 2, 'f', 'half'),
    DType('bfloat16', 2, 'f', 'bfloat16_t'),
    DType('float32', 4, 'f', 'float'),
    DType('float8_e4m3fn', 1, 'f', 'float8_e4m3_t'),
    DType('float8_e5m2', 1, 'f', 'float8_e5m2_t'),
    DType('int8', 1, 'i', 'int8_t'),
    DType('int16', 2, 'i', 'int16_t'),
    DType('int32', 4, 'i', 'int32_t'),
    DType('int64', 8, 'i', 'int64_t'),
    DType('uint8', 1, 'u', 'uint8_t'),
    DType('uint16', 2, 'u', 'uint16_t'),
    DType('uint32', 4, 'u', 'uint32_t'),
    DType('uint64', 8, 'u', 'uint64_t'),
    DType('bool', 1, 'b', 'bool'),
)
DTYPES = {d.name: d for d in _ALL}
_ALIASES = {'float': 'float32', 'half': 'float16', 'bf16': 'bfloat16', 'e4m3_float8': 'float8_e4m3fn', 'e5m2_float8': 'float8_e5m2',
            'float8_e4m3': 'float8_e4m3fn', 'int': 'int32', 'uint': 'uint32'}
_ALIASES |= {d.ascendc: d.name for d in _ALL}


def dtype(name: str) -> DType:
    """The element type of any spelling the dialect takes."""
    text = str(name)
    text = text.removeprefix('torch.')
    found = DTYPES.get(_ALIASES.get(text, text))
    if found is None:
        raise DialectError(f'unknown element type {text!r}', why='the chips compute on ' + ', '.join(DTYPES),
                           instead='one of these names; "float" is float32, "e4m3_float8" and "e5m2_float8" are the 8-bit floats')
    return found
