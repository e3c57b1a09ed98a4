"""How far a modelled time is from what the chip could do: its peak rates against the work and the bytes of the launches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Sequence

from ..dtypes import dtype as dtype_of
from ..machine.chip import Chip, chip as chip_of
from ..sim.result import Launch


@dataclass(frozen=True, slots=True)
class Roof:
    """One resource of the whole chip, all cores together."""

    name: str  # 'cube float16', 'vector float32', 'HBM', 'L2 read', 'L2 write'
    rate: float  # operations or bytes a second
    amount: float  # what the launches need of it

    @property
    def microseconds(self) -> float:
        """Least time, with this resource busy throughout."""
        return 1e6 * self.amount / self.rate


@dataclass(frozen=True, slots=True)
class Roofline:
    microseconds: float  # modelled, of the launches
    roofs: tuple[Roof, ...]  # of what the launches use, the tightest first

    @property
    def tightest(self) -> Roof | None:
        return self.roofs[0] if self.roofs else None

    @property
    def fraction(self) -> float:
        """Least time over modelled time: 1 is on the roof."""
        return self.tightest.microseconds / self.microseconds if self.tightest and self.microseconds else 0.0

    @property
    def flops(self) -> float:
        return sum(r.amount for r in self.roofs if r.name.startswith(self.unit)) if self.unit else 0.0

    @property
    def unit(self) -> str:
        """'cube' or 'vector': the unit the work is counted on."""
        names = {r.name.split()[0] for r in self.roofs}
        return 'cube' if 'cube' in names else 'vector' if 'vector' in names else ''

    @property
    def bytes(self) -> float:
        return sum(r.amount for r in self.roofs if r.name.startswith(('HBM', 'L2')))

    def amount(self, *names: str) -> float:
        return sum(r.amount for r in self.roofs if r.name in names)


def peak(chip: Chip, unit: str, dtype: str) -> float:
    """Operations a second of all cube or all vector cores: fractals of 16 x K0 x 16 multiply-adds, or repeats of 256 bytes."""
    d, k = dtype_of(dtype), chip.constants
    if unit == 'cube':
        cycles = k['cube.fractal_fp32' if d.name == 'float32' else 'cube.fractal']
        return 2 * 16 * 16 * d.block / cycles * chip.clock_mhz * 1e6 * chip.cube_cores
    return 256 / d.bytes * chip.clock_mhz * 1e6 * chip.vector_cores


def roofline(launches: Sequence[Launch]) -> Roofline:
    """Of all launches of one call; they run one after the other, so what they need adds up."""
    amounts: Counter = Counter()
    for launch in launches:
        amounts.update(launch.flops)
        t = launch.traffic
        amounts.update({'HBM': t.hbm_read + t.hbm_written, 'L2 read': t.l2_read, 'L2 write': t.l2_written})
    chip = chip_of(launches[0].chip)
    rates = {'HBM': chip.constants['gm.hbm'], 'L2 read': chip.constants['gm.read_l2'], 'L2 write': chip.constants['gm.write_l2']}
    roofs = [Roof(name, rates[name] if name in rates else peak(chip, *name.split()), amount) for name, amount in amounts.items() if amount]
    return Roofline(sum(launch.microseconds for launch in launches), tuple(sorted(_joined(roofs), key=lambda r: (-r.microseconds, r.name))))


def _joined(roofs: list[Roof]) -> list[Roof]:
    """One unit works on its data types one after the other: the types share a roof, named after the one that takes longest."""
    out = [r for r in roofs if not r.name.startswith(('cube', 'vector'))]
    for unit in ('cube', 'vector'):
        own = sorted((r for r in roofs if r.name.startswith(unit)), key=lambda r: (-r.microseconds, r.name))
        if own:
            seconds, amount = sum(r.amount / r.rate for r in own), sum(r.amount for r in own)
            out.append(Roof(own[0].name, amount / seconds, amount))
    return out
