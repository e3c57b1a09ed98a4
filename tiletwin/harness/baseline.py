"""Baselines: one JSONL shard a family, read line by line so that damage has a place, and replaced whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

from ..errors import EnvironmentError_, TileTwinError
from .record import Key, Record, root

FORMAT = 1


@dataclass(frozen=True)
class Damage:
    file: str
    line: int  # from 1
    reason: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}: {self.reason}'


@dataclass
class Shards:
    """The records of a folder of shards, and what could not be read."""

    records: dict[Key, Record] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)


def default_folder() -> Path:
    return root() / 'bench' / 'baselines'


def _lines(records: Iterable[Record], family: str) -> str:
    """A header with the number of lines behind it, each list of synchronisation once, then the records by key."""
    records = sorted(records, key=lambda r: r.key)
    lists = {_name(r.syncs): r.syncs for r in records}
    body: list[dict[str, Any]] = [{'syncs': name, 'lines': list(lists[name])} for name in sorted(lists)]
    body += [{'operator': r.operator, 'mode': r.mode, 'chip': r.chip, 'case': r.case, 'model': r.model, 'commit': r.commit,
              'figures': dict(r.figures), 'syncs': _name(r.syncs)} for r in records]
    head = {'format': FORMAT, 'family': family, 'lines': len(body)}
    return '\n'.join(json.dumps(x, ensure_ascii=False) for x in (head, *body)) + '\n'


def _name(syncs: tuple[str, ...]) -> str:
    return hashlib.sha256('\n'.join(syncs).encode()).hexdigest()[:12]


def parse(text: str, file: str) -> Shards:
    """Every line that can be read, and a place and a reason for every one that cannot."""
    out = Shards()
    lines = text.split('\n')
    if lines[-1]:
        out.damage.append(Damage(file, len(lines), 'the line is cut off: no newline at its end'))
    else:
        lines.pop()
    rows: list[tuple[int, dict]] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            out.damage.append(Damage(file, number, f'no JSON ({error})'))
            continue
        if isinstance(row, dict):
            rows.append((number, row))
        else:
            out.damage.append(Damage(file, number, 'no JSON object'))
    head = rows[0][1] if rows and rows[0][0] == 1 else {}
    if head.get('format') != FORMAT:
        out.damage.append(Damage(file, 1, f'no header of format {FORMAT}'))
    elif head.get('lines') != len(lines) - 1:
        out.damage.append(Damage(file, 1, f'the header names {head.get("lines")} lines, {len(lines) - 1} follow'))
    lists: dict[str, tuple[str, ...]] = {}
    for number, row in rows[1:] if head else rows:
        try:
            if 'lines' in row:
                lists[row['syncs']] = tuple(row['lines'])
                continue
            record = Record(*(str(row[k]) for k in ('operator', 'mode', 'chip', 'case', 'model', 'commit')), dict(row['figures']), lists[row['syncs']])
        except (KeyError, TypeError, ValueError) as error:
            out.damage.append(Damage(file, number, f'no record ({type(error).__name__}: {error})'))
            continue
        if record.key in out.records:
            out.damage.append(Damage(file, number, f'a second record of {record.title}'))
        out.records[record.key] = record
    return out


def _merge(parts: Iterable[Shards]) -> Shards:
    out = Shards()
    for part in parts:
        out.records |= part.records
        out.damage += part.damage
    return out


def read(folder: Path) -> Shards:
    """All shards of a folder; a folder that is not there holds none."""
    return _merge(parse(path.read_text(encoding='utf-8', errors='replace'), _shown(path)) for path in sorted(folder.glob('*.jsonl')) if _is_shard(path.name))


def _is_shard(name: str) -> bool:
    return name.endswith('.jsonl') and name.count('.') == 1


def at_revision(revision: str, folder: Path) -> Shards:
    """The shards as they were committed at a revision."""
    top = root()
    if subprocess.run(['git', 'rev-parse', '--verify', '-q', revision + '^{commit}'], cwd=top, capture_output=True, check=False).returncode:
        raise EnvironmentError_(f'no revision {revision!r}', why='`git rev-parse` does not know it', instead='a commit, tag or branch, or the word baseline')
    try:
        place = folder.resolve().relative_to(top).as_posix()
    except ValueError:
        raise EnvironmentError_(f'{folder} is not in the repository', why='a revision holds only what was committed', instead='the default folder') from None
    names = _git('ls-tree', '--name-only', revision, f'{place}/').split()
    shards = [n for n in names if _is_shard(n.rsplit('/', 1)[-1])]
    if not shards:
        raise EnvironmentError_(f'{revision} has no baselines in {place}', why='before is read from the records committed there',
                                instead='a later revision, or `tiletwin bench --refresh-baseline` there and a commit')
    return _merge(parse(_git('show', f'{revision}:{name}'), f'{revision}:{name}') for name in shards)


def _git(*words: str) -> str:
    return subprocess.run(['git', *words], cwd=root(), capture_output=True, text=True, check=True).stdout


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith('..') else relative


def write_atomically(path: Path, text: str) -> None:
    """The file is the old one or the new one, whenever the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def refuse_damage(found: Shards) -> None:
    if found.damage:
        listed = '\n  '.join(map(str, found.damage))
        raise TileTwinError(f'the baselines are damaged:\n  {listed}', why='what cannot be read would be lost or pass unseen',
                            instead='`git checkout` of the file, or delete it and run `tiletwin bench --refresh-baseline`')


def refresh(folder: Path, new: Iterable[Record], gone: Iterable[Key] = ()) -> list[Path]:
    """Writes the shards whose records changed. A record whose figures are as before keeps its old revision."""
    before = read(folder)
    refuse_damage(before)
    now = dict(before.records)
    for key in gone:
        now.pop(key, None)
    for record in new:
        old = now.get(record.key)
        if old is None or (old.model, old.figures, old.syncs) != (record.model, record.figures, record.syncs):
            now[record.key] = record
    written = []
    for family in sorted({r.family for r in (*before.records.values(), *now.values())}):
        old = [r for r in before.records.values() if r.family == family]
        mine = [r for r in now.values() if r.family == family]
        path = folder / f'{family}.jsonl'
        if not mine:
            path.unlink()
            written.append(path)
        elif sorted(old, key=lambda r: r.key) != sorted(mine, key=lambda r: r.key):
            write_atomically(path, _lines(mine, family))
            written.append(path)
    return written
