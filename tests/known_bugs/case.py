"""What a case of the corpus states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

import torch


@dataclass(frozen=True)
class Expect:
    """The verdict of one profile: class words, texts that must occur in a finding, whether the numbers are right (None: not said)."""

    words: frozenset[str] = frozenset()
    mentions: tuple[str, ...] = ()
    numbers: bool | None = True
    refusal: str | None = None  # text of the error when the kernel is refused before it runs


@dataclass(frozen=True)
class Case:
    broken: Callable[[], Any]  # builds the kernel
    repaired: Callable[[], Any] | None
    inputs: Callable[[], tuple[torch.Tensor, ...]]
    reference: Callable[..., torch.Tensor]
    fork: Expect
    sound: Expect


def words(*found: str) -> frozenset[str]:
    return frozenset(found)


def noise(*shape: int, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
