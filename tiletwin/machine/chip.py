"""The chips: cores, memories, data paths, flag limits, and the constants their cost model is made of."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Iterable, Mapping

from ..errors import CapacityError, EnvironmentError_, PathError, Span

CHIPS = ('a2', 'a3', 'a5')
# Pipes between which a core may set and wait flags: every ordered pair of different pipes of its kind (hardware 2.2).
_FLAG_PIPES = {'AIC': ('MTE2', 'MTE1', 'M', 'FIX', 'S'), 'AIV': ('MTE2', 'V', 'MTE3', 'S')}


@dataclass(frozen=True, slots=True)
class Memory:
    bytes: int  # what a kernel may use
    align: int  # of a buffer start


@dataclass(frozen=True, eq=False)
class Chip:
    name: str
    title: str
    clock_mhz: float
    cube_cores: int
    vectors_per_cube: int
    memories: Mapping[str, Memory]
    paths: frozenset[tuple[str, str]]
    event_ids: int
    cross_flags: int
    cross_reserved: tuple[int, ...]
    cross_counter: int
    flag_pairs: Mapping[str, frozenset[tuple[str, str]]]  # by core kind, 'AIC' or 'AIV'
    needs_v_barrier: bool
    cross_wait_blocks_core: bool
    constants: Mapping[str, Any]  # 'section.key' -> value in cycles, bytes per cycle, bytes per second, as the chip file says

    @property
    def vector_cores(self) -> int:
        return self.cube_cores * self.vectors_per_cube

    def microseconds(self, cycles: float) -> float:
        return cycles / self.clock_mhz

    def per_cycle(self, bytes_per_second: float) -> float:
        return bytes_per_second / (self.clock_mhz * 1e6)


def _read(name: str) -> dict[str, Any]:
    own = tomllib.loads(resources.files(__package__).joinpath(f'{name}.toml').read_text(encoding='utf-8'))
    base = own.pop('base', None)
    if base is None:
        return own
    merged = _read(base)
    for key, value in own.items():
        merged[key] = merged[key] | value if isinstance(merged.get(key), dict) and isinstance(value, dict) else value
    return merged


@functools.cache
def entries(name: str) -> dict[str, dict[str, Any]]:
    """'section.key' -> the whole entry of a chip file: value, unit, source, and `fitted_on` with `prior` where a measurement chose it."""
    return {f'{section}.{key}': entry for section, table in _read(name).items() if isinstance(table, dict) for key, entry in table.items()}


@functools.cache
def _aliases() -> dict[str, str]:
    """Every spelling of a chip, lower case, to its name."""
    out = {name: name for name in CHIPS}
    for name in CHIPS:
        out |= {alias.lower(): name for alias in _read(name)['aliases']}
    return out


@functools.cache
def chip(name: str) -> Chip:
    """The chip of that name or alias, in any case."""
    key = _aliases().get(str(name).lower())
    if key is None:
        raise EnvironmentError_(f'unknown chip {name!r}', why='the machine room describes ' + ', '.join(CHIPS) + '; also known as '
                                + ', '.join(sorted(a for a in _aliases() if a not in CHIPS)), instead="chip 'a2', 'a3' or 'a5'")
    return _load(key)


@functools.cache
def _load(name: str) -> Chip:
    raw = _read(name)
    flat = {key: entry['value'] for key, entry in entries(name).items()}
    sync = {key: entry['value'] for key, entry in raw['sync'].items()}
    return Chip(
        name=name,
        title=raw['title'],
        clock_mhz=flat['core.clock_mhz'],
        cube_cores=flat['core.cube_cores'],
        vectors_per_cube=flat['core.vectors_per_cube'],
        memories={space: Memory(entry['value'], entry['align']) for space, entry in raw['memory'].items()},
        paths=frozenset(tuple(pair.split()) for pair in flat['paths.pairs']),
        event_ids=sync['event_ids'],
        cross_flags=sync['cross_flags'],
        cross_reserved=tuple(sync['cross_reserved']),
        cross_counter=sync['cross_counter'],
        flag_pairs={core: frozenset((a, b) for a in pipes for b in pipes if a != b) for core, pipes in _FLAG_PIPES.items()},
        needs_v_barrier=sync['needs_v_barrier'],
        cross_wait_blocks_core=sync['cross_wait_blocks_core'],
        constants=flat,
    )


@functools.cache
def part(name: str, cores: int | None = None) -> Chip:
    """The chip a part is one of, with the part's own clock and cores; `cores` cube cores where a board has fewer in use."""
    table = tomllib.loads(resources.files(__package__).joinpath('parts.toml').read_text(encoding='utf-8'))
    own = table.get(name, {})
    base = chip(own.get('chip', name))
    count = cores or own.get('cube_cores', {}).get('value', base.cube_cores)
    return dataclasses.replace(base, clock_mhz=own.get('clock_mhz', {}).get('value', base.clock_mhz), cube_cores=min(count, base.cube_cores))


# What to write where the direct path is missing.
_DETOURS = {
    ('L0C', 'UB'): 'two copies through a workspace in GM: T.copy(l0c, workspace) on the cube core, a cross flag, then T.copy(workspace, ub)',
    ('UB', 'L1'): 'two copies through a workspace in GM: T.copy(ub, workspace) on the vector core, a cross flag, then T.copy(workspace, l1)',
    ('GM', 'L0A'): 'two copies: T.copy(gm, l1), then T.copy(l1, l0a)',
    ('GM', 'L0B'): 'two copies: T.copy(gm, l1), then T.copy(l1, l0b)',
    ('GM', 'GM'): 'two copies through UB: T.copy(gm, ub), then T.copy(ub, gm)',
    ('L1', 'UB'): 'load the tile from GM on the vector core as well: T.copy(gm, ub)',
    ('L1', 'GM'): 'store the tile from where it was made: T.copy(ub, gm) or T.copy(l0c, gm)',
}


def path_error(on: Chip, src: str, dst: str, span: Span | None = None) -> PathError:
    """The refusal of a copy `src -> dst` that this chip has no wires for."""
    have = ', '.join(f'{a}->{b}' for a, b in sorted(on.paths))
    return PathError(f'no data path {src} -> {dst} on {on.name}', where=span, why=f'the copy engines of {on.title} connect {have}',
                     instead=_DETOURS.get((src, dst), 'stage the tile through a memory both sides reach; GM reaches UB, L1 and, from, L0C'))


def byte_map(rows: Iterable[tuple], limit: int) -> str:
    """The table of buffers `(name, address, bytes, span[, lifetime])` by address; `lifetime` says from which line to which one is in use."""
    table = [(*r, '')[:5] for r in sorted(rows, key=lambda r: (r[1], r[0]))]
    width = max((len(r[0]) for r in table), default=6)
    live = max((len(r[4]) for r in table), default=0)
    head = f'  {"in use":<{max(live, 6)}}' if live else ''
    lines = [f'       {"buffer":<{width}}  {"from":>8}  {"to":>8}  {"bytes":>8}{head}']
    for name, address, size, span, lifetime in table:
        mark = f'  <- beyond {limit}' if address + size > limit else ''
        used = f'  {lifetime:<{max(live, 6)}}' if live else ''
        lines.append(f'       {name:<{width}}  {address:>8}  {address + size:>8}  {size:>8}{used}{"  " + str(span) if span else ""}{mark}'.rstrip())
    return '\n'.join(lines)


def capacity_error(on: Chip, space: str, rows: Iterable[tuple]) -> CapacityError:
    """The refusal of buffers `(name, address, bytes, span[, lifetime])` that end beyond `space`, with the byte map of the whole memory."""
    memory = on.memories[space]
    table = sorted(rows, key=lambda r: (r[1], r[0]))
    over = [r for r in table if r[1] + r[2] > memory.bytes] or table[-1:]
    end = max((r[1] + r[2] for r in table), default=0)
    why = f'{space} of {on.title} holds {memory.bytes} bytes, these buffers end at {end}:\n{byte_map(table, memory.bytes)}'
    return CapacityError(f'{space} overflow on {on.name}: {", ".join(repr(r[0]) for r in over)} does not fit, {end - memory.bytes} bytes too many',
                         where=over[0][3] if over else None, why=why,
                         instead='a smaller tile, fewer buffer slots, or one address (T.annotate_address) for buffers that are never live together')
