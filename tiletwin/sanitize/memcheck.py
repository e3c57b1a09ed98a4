"""memcheck: accesses outside a tensor or a tile, misaligned operands, event ids and lengths the hardware does not have."""

from __future__ import annotations

from ..sim.access import Fault
from .findings import Finding
from .source import At, Sites


class MemCheck:
    """Collects the faults the expansion of an instruction finds, once per source line and class."""

    def __init__(self, sites: Sites):
        self.sites = sites
        self.found: dict[tuple, list] = {}

    def fault(self, at: At, times: int, core: str, block: int, fault: Fault) -> None:
        key = (at.sid, fault.word, fault.message.split(' by ')[0].split(' starts at ')[0])
        entry = self.found.get(key)
        if entry is None:
            self.found[key] = [times, at, core, block, fault]
        else:
            entry[0] += times

    def findings(self) -> list[Finding]:
        out = []
        for count, at, core, block, fault in self.found.values():
            static = self.sites.static(at)
            op = getattr(static.instr, 'op', static.kind)
            side = self.sites.side('executes', at, op, 0, core, block)
            tool = 'synccheck' if fault.word == 'flag' else 'memcheck'
            out.append(Finding(tool, fault.word, 'error', fault.message, (side,), fault.why, fault.fix, '', count))
        return out
