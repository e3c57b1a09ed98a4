"""Writes the lowering of a folder of kernels in the normal form, one JSON file a kernel, for comparison with the real compiler."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

from ..errors import EnvironmentError_, TileTwinError
from ..machine.chip import chip as chip_of
from . import cross_core_sync
from .context import KEYS, PassContext
from .normal_form import normal_form
from .pipeline import run

PLAIN = ('ascendc', 'A3')


def variants(kernels: Path, name: str) -> list[tuple[str, str, str]]:
    """(file stem, target, platform) of every form the real compiler's result exists for, the plain one first."""
    found = [(name, *PLAIN)]
    for path in sorted((kernels.parent / 'expect').glob(f'{name}@*.json')):
        target, platform = path.stem.split('@')[1].split('-')
        found.append((path.stem, target, platform))
    return found


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise EnvironmentError_(f'{path} is no Python file')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def candidate(module: ModuleType, name: str, target: str, platform: str) -> dict[str, Any]:
    """What this package makes of one kernel file."""
    from .. import language
    from ..language.entry import program_of

    stem = f'{name}@{target}-{platform}' if (target, platform) != PLAIN else name
    base = {'name': stem, 'kernel_file': f'kernels/{name}.py', 'behaviour': (module.__doc__ or '').strip(), 'pass_configs': dict(module.PASS_CONFIGS),
            'out_idx': module.OUT_IDX, 'workspace_idx': module.WORKSPACE_IDX, 'platform': platform, 'target': target}
    ctx = PassContext(chip_of(platform.lower()), target, frozenset(k for k in KEYS if module.PASS_CONFIGS.get(k)))
    stage = 'frontend'
    try:
        program = program_of(module.build(language))
        stage = 'passes'
        lowered = run(program, ctx)
    except TileTwinError as error:
        if getattr(error, 'compiler', 'rejects') == 'crashes':
            return {**base, 'status': 'crash', 'warnings': []}
        return {**base, 'status': 'rejected', 'stage': stage, 'message': f'{type(error).__name__}: {error.what}', 'warnings': []}
    return {**base, 'status': 'lowered', 'warnings': [w.message for w in ctx.warnings if w.pass_name == cross_core_sync.PASS], **normal_form(lowered)}


def candidates(kernels_dir: str | os.PathLike[str], only: str = '') -> Iterator[dict[str, Any]]:
    kernels = Path(kernels_dir)
    files = sorted(kernels.glob('*.py'))
    if not files:
        raise EnvironmentError_(f'no kernels in {kernels}', why='each kernel is a Python file with build(T) and PASS_CONFIGS')
    for path in files:
        if only in path.stem:
            module = load(path)
            for stem, target, platform in variants(kernels, path.stem):
                yield candidate(module, path.stem, target, platform)


def write(kernels_dir: str | os.PathLike[str], out_dir: str | os.PathLike[str], only: str = '') -> list[str]:
    """One JSON file a kernel and variant in `out_dir`; returns their names."""
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    names = []
    for found in candidates(kernels_dir, only):
        (out / f'{found["name"]}.json').write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
        names.append(found['name'])
    return names
