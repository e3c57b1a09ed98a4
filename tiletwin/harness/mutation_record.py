"""Mutation scores as the regression desk keeps them: one `<family>.mutations.jsonl` beside the baselines, a line an operator, mode and chip."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Iterable

from ..errors import TileTwinError
from .baseline import write_atomically
from .mutate import Outcome, Score
from .record import kernel_source, root

FORMAT = 1


def as_data(score: Score) -> dict[str, Any]:
    """Counts, and every mutant that was not caught; paths are those of the repository."""
    return {'format': FORMAT, 'operator': score.operator, 'mode': score.mode, 'chip': score.chip, 'source': kernel_source(score.operator, score.mode), 'mutants': score.total, 'caught': score.caught,
            'redundant': score.redundant, 'survived': score.survivors, 'score': round(score.percent, 2), 'by': score.by_tool, 'cases': list(score.cases),
            'survivors': [_outcome(o) for o in score.of('survived')], 'redundant_list': [_outcome(o) for o in score.redundant_list]}


def _outcome(o: Outcome) -> dict[str, str]:
    return {'at': f'{shown(o.file)}:{o.line}', 'change': o.change, 'mutant': o.name, 'why': o.by} | ({'case': o.case} if o.case else {})


def shown(file: str) -> str:
    relative = os.path.relpath(file, root()) if file else ''
    return file if relative.startswith('..') else relative


def path(folder: Path, operator: str) -> Path:
    return folder / f'{operator.split(".")[0]}.mutations.jsonl'


def read(file: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The records of one family by operator, mode and chip; none where there is no file."""
    found = {}
    lines = file.read_text(encoding='utf-8').splitlines() if file.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            found[row['operator'], row['mode'], row['chip']] = row
        except (ValueError, KeyError, TypeError):
            raise TileTwinError(f'{file}:{number}: no mutation record', why='what cannot be read would be lost', instead='`git checkout` of the file') from None
    return found


def write(scores: Iterable[Score], folder: Path) -> list[Path]:
    """Puts scores in the place of older ones of the same operator, mode and chip; returns the files that changed."""
    changed = []
    by_file: dict[Path, list[Score]] = {}
    for s in scores:
        by_file.setdefault(path(folder, s.operator), []).append(s)
    for file, members in sorted(by_file.items()):
        before = read(file)
        after = before | {(s.operator, s.mode, s.chip): as_data(s) for s in members}
        if after != before:
            write_atomically(file, ''.join(json.dumps(after[key], ensure_ascii=False) + '\n' for key in sorted(after)))
            changed.append(file)
    return changed
