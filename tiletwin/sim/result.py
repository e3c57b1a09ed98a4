"""What one simulated launch leaves behind."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple

from ..errors import UnsupportedError, Span
from ..ir.nodes import Program

CORES = ('AIC', 'AIV0', 'AIV1')
LISTED = 500_000  # slices that are spelled out; what needs each one of a longer block is refused


class Touch(NamedTuple):
    """The on-chip bytes between the first and the last that an operand takes."""

    memory: str  # 'AIC L1', 'AIV0 UB'
    start: int
    stop: int
    mode: str  # 'r' read, 'w' write, 'm' read and write
    buffer: str


@dataclass(frozen=True, slots=True)
class Slice:
    """One instruction on the timeline of a block: modelled cycles from the start of the block."""

    core: str
    pipe: str
    start: float
    end: float
    op: str
    span: Span | None
    loop: str = ''
    kind: str = 'op'  # 'op', 'wait' (pipe stalled on a flag), 'barrier'
    bytes: int = 0  # GM bytes moved
    latency: float = 0.0  # cycles after `end` until its last byte has landed
    issued: float = 0.0  # when the scalar unit handed it to the pipe
    flag: str = ''  # of a wait: 'MTE2->V 0' or 'cross 3'
    set_at: Span | None = None  # of a wait: the statement that set the flag
    touches: tuple[Touch, ...] = ()  # on-chip bytes


@dataclass(frozen=True, slots=True)
class Arrow:
    """A flag from the slice that set it to the slice that waited for it (indices into Timeline.slices)."""

    source: int
    target: int
    name: str


class Timeline:
    """One block of one distinct instruction stream.

    `cycles` and `busy` are exact. `slices` and `arrows` hold every instruction, those of skipped repetitions included; they are spelled
    out when first looked at, and refused when they are more than LISTED. `weighted` stands for all of them with as many entries as were
    simulated: (slice, how many slices it stands for, itself included); `count` is their number.
    """

    def __init__(self, slices: list[Slice] | None = None, arrows: list[Arrow] | None = None, cycles: float = 0.0,
                 busy: dict[tuple[str, str], float] | None = None, build: Callable[[], tuple[list[Slice], list[Arrow]]] | None = None,
                 weigh: Callable[[], list[tuple[Slice, int]]] | None = None, count: Callable[[], int] | None = None):
        self.cycles = cycles
        self.busy = busy or {}  # (core, pipe) -> cycles
        self._slices, self._arrows, self._build, self._weigh, self._count = slices, arrows, build, weigh, count

    def _spell_out(self) -> None:
        if self._build is not None:
            if not self.listed:
                raise UnsupportedError(f'a block of {self.count} instructions is too long to look at one by one', why=f'at most {LISTED} are listed',
                                    instead='a smaller shape of the same kernel, whose loops go the same way; for the time and the busy pipes of this one '
                                    'tiletwin time or tiletwin bench')
            self._slices, self._arrows = self._build()
            self._build = None

    @functools.cached_property
    def count(self) -> int:
        """Slices, without looking at them."""
        return self._count() if self._count is not None else len(self.slices)

    @property
    def listed(self) -> bool:
        """Whether every slice can be looked at."""
        return self._count is None or self.count <= LISTED

    @property
    def slices(self) -> list[Slice]:
        self._spell_out()
        return self._slices or []

    @property
    def weighted(self) -> list[tuple[Slice, int]]:
        return self._weigh() if self._weigh is not None else [(s, 1) for s in self.slices]

    @property
    def arrows(self) -> list[Arrow]:
        self._spell_out()
        return self._arrows or []


@dataclass(frozen=True, slots=True)
class Traffic:
    """GM bytes of a whole launch by the memory that serves them."""

    hbm_read: float = 0.0
    l2_read: float = 0.0
    hbm_written: float = 0.0  # what L2 cannot keep back until the launch is over
    l2_written: float = 0.0


@dataclass
class Stream:
    """Blocks that issue the same instructions are analysed once."""

    blocks: tuple[int, ...]
    timeline: Timeline
    events: int = 0  # instructions issued by all cores of the block


@dataclass(repr=False)
class Launch:
    """The record of one kernel launch on the simulator."""

    program: Program
    chip: str
    target: str
    blocks: int
    streams: list[Stream]
    cycles: float  # modelled, whole launch
    microseconds: float  # modelled
    verdict: Any  # sanitize.findings.Verdict
    memory: dict[str, int] = field(default_factory=dict)  # peak bytes per on-chip memory
    gm_read: int = 0
    gm_written: int = 0
    traffic: Traffic = Traffic()
    flops: dict[str, int] = field(default_factory=dict)  # 'cube float16': 2 a multiply-add; 'vector float32': 1 an element
    syncs: dict[str, int] = field(default_factory=dict)  # kind -> count over the Program text
    prints: list[str] = field(default_factory=list)  # T.printf / T.dump_tensor output
    wall: dict[str, float] = field(default_factory=dict)  # seconds spent per stage of the simulator
    simulated: int = 0  # of the events of the streams; the rest repeats them and was skipped
    notes: tuple[str, ...] = ()  # what the passes had to say about the kernel
    lowering: Any = None  # passes.pipeline.Lowering of the kernel, to look at its passes again

    def __repr__(self) -> str:
        return f'<Launch {self.program.name} on {self.chip}, {self.blocks} blocks: {self.microseconds:.2f} us modelled, {self.verdict.level}>'

    @property
    def timeline(self) -> Timeline:
        """The longest block."""
        return max((s.timeline for s in self.streams), key=lambda t: t.cycles)
