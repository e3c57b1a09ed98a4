"""Colours with a meaning: the same in every drawing of a page."""

from __future__ import annotations

# The pipes by what they do.
WORK = {'MTE2': ('loads', '#3b7dd8'), 'MTE1': ('loads of L0', '#2a9d8f'), 'M': ('cube', '#e07b39'), 'V': ('vector', '#5a9e3f'),
        'FIX': ('stores', '#8e5bb5'), 'MTE3': ('stores', '#8e5bb5'), 'S': ('scalar unit', '#7b8794')}
STALL = {'flag': '#f0b9b9', 'landing': '#f6d8a0', 'travel': '#dcc6ee', 'barrier': '#a9a9a9', 'held': '#d3b98c', 'issue': '#c7d3dc', 'sync': '#dedede',
         'done': '#f3f3f3'}
_BUFFERS = ('#4e79a7', '#f28e2b', '#59a14f', '#b07aa1', '#e15759', '#76b7b2', '#edc948', '#9c755f', '#ff9da7', '#86bcb6', '#d37295', '#8cd17d')
MODES = {'developer': '#1f5fa8', 'expert': '#b3541e'}


def buffer(index: int) -> str:
    return _BUFFERS[index % len(_BUFFERS)]
