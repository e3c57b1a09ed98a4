"""The meaning of a kernel: its source executed statement by statement, one core, whole tiles, no pipes.

Kernels that name their vector core run every vector statement once for each, on tiles of its own, before the next statement.

Written against the dialect, without any of the package's engine: buffers are float64/int64 arrays rounded to their dtype
on every store. Only what the kernels of these tests use.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tiletwin.ir import expr as E
from tiletwin.ir.nodes import For, If, Instr, Let, Program, Region, Scope, Store, While
from tiletwin.passes.uses import touched

TORCH = {'float16': torch.float16, 'bfloat16': torch.bfloat16, 'float32': torch.float32, 'int32': torch.int32, 'int8': torch.int8,
         'uint8': torch.uint8,
         'int16': torch.int16, 'uint16': torch.int32, 'uint32': torch.int64, 'bool': torch.bool}
_BIN = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b, '/': lambda a, b: a / b, '//': lambda a, b: a // b, '%': lambda a,
        b: a % b,
        'min': min, 'max': max, '<': lambda a, b: a < b, '<=': lambda a, b: a <= b, '>': lambda a, b: a > b, '>=': lambda a, b: a >= b,
        '==': lambda a, b: a == b, '!=': lambda a, b: a != b, 'and': lambda a, b: a and b, 'or': lambda a, b: a or b,
        'tdiv': lambda a, b: int(a / b), 'tmod': lambda a, b: a - b * int(a / b)}
_UN = {'-': lambda a: -a, 'not': lambda a: not a, 'exp': math.exp, 'abs': abs, 'sqrt': math.sqrt}
_TILE1 = {'exp': np.exp, 'ln': np.log, 'abs': np.abs, 'sqrt': np.sqrt, 'relu': lambda x: np.maximum(x, 0), 'reciprocal': lambda x: 1 / x,
          'rsqrt': lambda x: 1 / np.sqrt(x),
          'sigmoid': lambda x: 1 / (1 + np.exp(-x)), 'silu': lambda x: x / (1 + np.exp(-x))}
_TILE1 |= {'sin': np.sin, 'cos': np.cos}
_ROUND = {'CAST_ROUND': lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5), 'CAST_RINT': np.rint, 'CAST_NONE': lambda x: x}
_COMPARE = {'GT': np.greater, 'GE': np.greater_equal, 'LT': np.less, 'LE': np.less_equal, 'EQ': np.equal, 'NE': np.not_equal}
_TILE2 = {'add': np.add, 'sub': np.subtract, 'mul': np.multiply, 'div': np.divide, 'max': np.maximum, 'min': np.minimum, 'pow': np.power}


class Machine:
    def __init__(self, program: Program, tensors: dict[str, torch.Tensor], scalars: dict[str, int]):
        self.program, self.env = program, dict(scalars)
        self.mem = {n: t.to(torch.float64).numpy().copy() if t.is_floating_point() else t.to(torch.int64).numpy().copy() for n, t in tensors.items()}
        self.tensors = tensors

    # -- scalars ------------------------------------------------------------------------------------------------------
    def value(self, e):
        match e:
            case E.Const(value=v):
                return v
            case E.Var(name=n):
                v = self.env[n]
                return self.value(v) if isinstance(v, E.EXPR_TYPES) else v
            case E.Bin(op=op, a=a, b=b):
                return _BIN[op](self.value(a), self.value(b))
            case E.Un(op=op, a=a):
                return _UN[op](self.value(a))
            case E.Select(cond=c, a=a, b=b):
                return self.value(a if self.value(c) else b)
            case E.Cast(a=a, dtype=d):
                return int(self.value(a)) if 'int' in d else float(self.value(a))
            case E.Load(buffer=b, indices=i):
                v = self.mem[b][tuple(self.value(x) for x in i)]
                return int(v) if 'int' in e.dtype else float(v)
        raise TypeError(e)

    def store(self, name: str, index, values) -> None:
        dtype = TORCH[self.program.buffers[name].dtype]
        values = torch.as_tensor(np.array(values))
        if not dtype.is_floating_point and values.is_floating_point():
            values = values.round()
        self.mem[name][index] = values.to(dtype).to(torch.float64 if dtype.is_floating_point else torch.int64).numpy()

    # -- regions ------------------------------------------------------------------------------------------------------
    def box(self, r: Region) -> tuple[slice, ...]:
        return tuple(slice(self.value(a), self.value(a) + self.value(n)) for a, n in zip(r.starts, r.extents))

    def run(self, r: Region) -> slice:
        shape = self.mem[r.buffer].shape
        at = int(np.ravel_multi_index([self.value(a) for a in r.starts], shape))
        return slice(at, at + math.prod(self.value(n) for n in r.extents))

    def tile(self, r: Region) -> np.ndarray:
        return self.mem[r.buffer].reshape(-1)[self.run(r)]

    def put(self, r: Region, values) -> None:
        span, whole = self.run(r), self.mem[r.buffer]
        self.mem[r.buffer] = whole.reshape(-1)
        self.store(r.buffer, span, values)
        self.mem[r.buffer] = whole

    def operand(self, a, n: int):
        if isinstance(a, Region):
            return self.mem[a.buffer][tuple(self.value(x) for x in a.starts)] if a.form == 'element' else self.tile(a)[:n]
        return self.value(a)

    # -- instructions -------------------------------------------------------------------------------------------------
    def copy(self, s: Instr, src: Region, dst: Region, add: bool = False) -> None:
        data = np.squeeze(self.mem[src.buffer][self.box(src)])
        if s.attrs.get('relu'):
            data = np.maximum(data, 0)
        if self.program.buffers[src.buffer].space == 'GM':
            want = tuple(n for n in (self.value(x) for x in dst.extents) if n != 1)
            asked = tuple(n for n in (self.value(x) for x in src.extents) if n != 1)
            pad = s.attrs.get('pad')
            full = np.full(asked, 0 if pad is None else self.value(pad) if isinstance(pad, E.EXPR_TYPES) else pad, dtype=data.dtype)
            if data.size:
                full[tuple(slice(0, n) for n in data.shape)] = data
            data = full.reshape(want)
        box = self.box(dst)
        have = self.mem[dst.buffer][box]
        room = np.squeeze(have).shape
        if not have.size:
            return
        data = data[tuple(slice(0, n) for n in room)].reshape(have.shape)
        self.store(dst.buffer, box, data + have if add else data)

    def gemm(self, s: Instr) -> None:
        a, b, c = (self.mem[r.buffer][self.box(r)].reshape(-1, self.value(r.extents[-1])) for r in s.args[:3])
        a, b = (a.T if s.attrs.get('transpose_A') else a), (b.T if s.attrs.get('transpose_B') else b)
        self.store(s.args[2].buffer, self.box(s.args[2]),
                   (a @ b + (0 if self.value(s.args[3]) else c)).reshape([self.value(n) for n in s.args[2].extents]))

    def instruction(self, s: Instr) -> None:
        op, args = s.op, s.args
        if op == 'copy':
            self.copy(s, args[0], args[1])
        elif op == 'atomic_add':
            self.copy(s, args[1], args[0], add=True)
        elif op in ('gemm_v0', 'mma'):
            self.gemm(s)
        elif op == 'fill':
            self.put(args[0], np.full(self.tile(args[0]).shape, self.operand(args[1], 1)))
        elif op in _TILE1:
            self.put(args[0], _TILE1[op](self.tile(args[1])[:len(self.tile(args[0]))]))
        elif op in _TILE2 or op[:-1] in _TILE2:
            n = len(self.tile(args[0]))
            self.put(args[0], _TILE2[op if op in _TILE2 else op[:-1]](self.tile(args[1])[:n], self.operand(args[2], n)))
        elif op == 'axpy':
            self.put(args[0], self.tile(args[0]) + self.tile(args[1]) * self.value(args[2]))
        elif op == 'mul_add_dst':
            self.put(args[0], self.tile(args[0]) + self.tile(args[1]) * self.tile(args[2]))
        elif op == 'leaky_relu':
            x = self.tile(args[1])
            self.put(args[0], np.where(x >= 0, x, x * self.value(args[2])))
        elif op == 'clamp':
            n = self.value(args[4])
            self.put(args[0], np.clip(self.tile(args[1])[:n], self.value(args[2]), self.value(args[3])))
        elif op == 'cast':
            x = self.tile(args[1])[:self.value(args[3])]
            self.put(args[0], _ROUND[args[2]](x))
        elif op == 'broadcast':
            rows, cols = (self.value(n) for n in args[0].extents[-2:])
            src = self.tile(args[1])
            self.put(args[0], (np.repeat(src[:rows], cols) if s.attrs['axis'] == 1 else np.tile(src[:cols], rows)))
        elif op in ('compare', 'compare_scalar'):
            n = 8 * len(self.tile(args[0]))
            truth = _COMPARE[args[3]](self.tile(args[1])[:n], self.operand(args[2], n))
            self.put(args[0], np.packbits(truth, bitorder='little'))
        elif op == 'select':
            n = len(self.tile(args[0]))
            mask = np.unpackbits(self.tile(args[1]).astype(np.uint8), bitorder='little')[:n]
            self.put(args[0], np.where(mask, self.tile(args[2])[:n], self.operand(args[3], n)))
        elif op == 'reduce':
            m, n = self.value(E.as_expr(s.attrs['M'])), self.value(E.as_expr(s.attrs['N']))
            kind = {'sum': np.sum, 'max': np.max, 'min': np.min}[s.attrs['kind']]
            found = kind(self.tile(args[1])[:m * n].reshape(m, n), axis=0 if s.attrs['dim'] == 0 else 1)
            if not s.attrs['clear']:
                both = {'sum': np.add, 'max': np.maximum, 'min': np.minimum}[s.attrs['kind']]
                found = both(found, self.tile(args[0])[:len(found)])
            self.put(args[0], found)
        elif op in ('barrier_all', 'pipe_barrier', 'set_flag', 'wait_flag', 'set_cross_flag', 'wait_cross_flag', 'sync_all', 'printf'):
            return
        else:
            raise TypeError(op)

    # -- vector cores by name -----------------------------------------------------------------------------------------
    def each_core(self, s, run) -> None:
        """Runs a statement once, or once per vector core with its own UB tiles."""
        names = set(touched(s)) & set(self.tiles)
        vid = self.program.launch.vid.name
        for core in self.cores if names else self.cores[:1]:
            self.env[vid] = core
            for n in self.tiles:
                self.mem[n] = self.tiles[n][core]
            run(s)
            for n in self.tiles:
                self.tiles[n][core] = self.mem[n]
        self.env[vid] = 0

    # -- control ------------------------------------------------------------------------------------------------------
    def block(self, body) -> None:
        for s in body:
            match s:
                case Instr():
                    self.each_core(s, self.instruction)
                case Store():
                    self.each_core(s, lambda s: self.store(s.buffer, tuple(self.value(i) for i in s.indices), self.value(s.value)))
                case Let():
                    # A value without memory reads may differ between the vector cores: it is computed where it is used.
                    self.env[s.var.name] = self.value(s.value) if E.loads(s.value) else s.value
                case For():
                    first = self.value(s.start)
                    for k in range(first, first + self.value(s.extent)):
                        self.env[s.var.name] = k
                        self.block(s.body)
                case While():
                    while self.value(s.cond):
                        self.block(s.body)
                case If():
                    self.block(s.then if self.value(s.cond) else s.els)
                case Scope():
                    self.block(s.body)
                case _:
                    raise TypeError(s)

    def launch(self) -> dict[str, torch.Tensor]:
        p = self.program
        for cid in range(self.value(p.launch.blocks)):
            for b in p.buffers.values():
                if b.space != 'GM':
                    kind = np.float64 if 'float' in b.dtype else np.int64
                    self.mem[b.name] = np.full(b.dims, b.init or 0, kind) if b.space == 'VAR' else np.zeros(b.dims, kind)
            self.cores = (0, 1) if p.launch.form == 'cid_vid' else (0,)
            self.tiles = {b.name: {c: self.mem[b.name].copy() for c in self.cores} for b in p.buffers.values() if b.space == 'UB'}
            self.env |= {p.launch.cid.name: cid, p.launch.vid.name: 0}
            self.block(p.body)
        return {n: torch.as_tensor(self.mem[n]).to(t.dtype) for n, t in self.tensors.items()}


def interpret(program: Program, tensors: dict[str, torch.Tensor], scalars: dict[str, int] | None = None) -> dict[str, torch.Tensor]:
    """Tensors after the kernel, by name."""
    return Machine(program, tensors, scalars or {}).launch()
