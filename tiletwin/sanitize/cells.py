"""Distinct byte spans of a memory and who touched each last."""

from __future__ import annotations

from ..sim.access import Span2D, overlap
from ..sim.pipes import CoreState


def home(core: CoreState, memory: str) -> tuple[int, str]:
    """The core a memory belongs to, as seen from `core`, and its plain name; -1 for GM."""
    name, _, other = memory.partition('@')
    if memory.startswith('GM:'):
        return -1, memory
    if not other:
        return core.index, name
    cube = core.index - (0 if core.name == 'AIC' else 1 + int(core.name[3:]))
    return cube + (0 if other == 'AIC' else 1 + int(other[3:])), name


class Cell:
    """One distinct span; `near` are the spans of the same memory that share a byte with it, itself included.

    Per pipe only the last access matters: who is ordered after it is ordered after all earlier ones of that pipe.
    """

    __slots__ = ('span', 'near', 'writes', 'reads', 'atomics')

    def __init__(self, span: Span2D):
        self.span = span
        self.near: list[Cell] = [self]
        self.writes: dict[int, tuple] = {}  # global pipe -> (sequence number, core, pipe, step, event, access)
        self.reads: dict[int, tuple] = {}
        self.atomics: dict[int, tuple] = {}


class CellMap:
    def __init__(self):
        self.cells: dict[tuple, Cell] = {}
        self.by_memory: dict[tuple, list[Cell]] = {}

    def get(self, core: CoreState, span: Span2D) -> Cell:
        """The cell of `span`; on-chip memories belong to a core, GM to all."""
        memory = home(core, span.memory)
        span = span._replace(memory=memory[1])
        key = (memory, span)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell(span)
            peers = self.by_memory.setdefault(memory, [])
            for other in peers:
                if overlap(span, other.span):
                    cell.near.append(other)
                    other.near.append(cell)
            peers.append(cell)
        return cell
