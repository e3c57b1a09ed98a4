"""Flags and barriers between cores (dialect 6.4): counters that a set feeds and a wait consumes."""

from __future__ import annotations

from collections import defaultdict


class Block:
    """What the cores of one block see: the flags of the launch, addressed from their own block."""

    def __init__(self, launch: 'CrossCore', cid: int):
        self.launch, self.cid = launch, cid

    def set(self, core: int, flag: int, mode: int) -> None:
        self.launch.set(self.cid, core, flag, mode)

    def take(self, core: int, flag: int) -> bool:
        return self.launch.take(self.cid, core, flag)

    def arrive(self, core: int, kind: str) -> int:
        return self.launch.arrive(kind)

    def passed(self, kind: str, turn: int) -> bool:
        return self.launch.passed(kind, turn)


class CrossCore:
    """Every core has one counter per flag. A set is granted once all cores of its group have set:

    mode 0 the cores of one kind in the launch, mode 1 the vector cores of a block, mode 2 from the cube core to each
    vector core of its block, and from all vector cores of a block to their cube core.
    """

    def __init__(self, blocks: tuple[int, ...], vectors: int):
        self.blocks, self.vectors = blocks, vectors
        self.counters: dict[tuple, int] = defaultdict(int)
        self.arrivals: dict[tuple, dict[tuple, int]] = defaultdict(lambda: defaultdict(int))
        self.joined: dict[tuple, list[int]] = defaultdict(lambda: [0] * vectors)  # sets of the vector cores towards their cube
        self.barriers: dict[str, int] = defaultdict(int)
        self.events = 0  # sets, takes and arrivals so far: no change over a whole turn means deadlock

    def set(self, cid: int, core: int, flag: int, mode: int) -> None:
        self.events += 1
        if mode == 2 and core == 0:
            for v in range(self.vectors):
                self.counters[cid, v + 1, flag] += 1
            return
        if mode == 2:
            seen = self.joined[cid, flag]
            seen[core - 1] += 1
            if all(seen):
                self.joined[cid, flag] = [n - 1 for n in seen]
                self.counters[cid, 0, flag] += 1
            return
        if mode == 1:
            group = [(cid, v + 1) for v in range(self.vectors)] if core else [(cid, 0)]
        else:
            group = [(b, c) for b in self.blocks for c in ([0] if core == 0 else range(1, self.vectors + 1))]
        seen = self.arrivals[mode, cid if mode else -1, core > 0, flag]
        seen[cid, core] += 1
        if all(seen[m] for m in group):
            for m in group:
                seen[m] -= 1
                self.counters[m[0], m[1], flag] += 1

    def take(self, cid: int, core: int, flag: int) -> bool:
        key = (cid, core, flag)
        if self.counters[key] == 0:
            return False
        self.counters[key] -= 1
        self.events += 1
        return True

    def arrive(self, kind: str) -> int:
        """Number of the barrier this core now waits for."""
        self.events += 1
        turn = self.barriers[kind] // self.members(kind)
        self.barriers[kind] += 1
        return turn

    def passed(self, kind: str, turn: int) -> bool:
        return self.barriers[kind] // self.members(kind) > turn

    def members(self, kind: str) -> int:
        cubes, vectors = len(self.blocks), len(self.blocks) * self.vectors
        return cubes if kind == 'C' else vectors if kind == 'V' else cubes + vectors
