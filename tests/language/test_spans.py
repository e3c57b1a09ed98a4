"""Every part of a Program knows the line that wrote it, inside macros and multi-line calls too."""

from tiletwin.ir.nodes import Break, For, If, Instr, Let, Store, While, walk

TEXT = '''import tiletwin.language as T


@T.macro
def scale(dst, factor):
    T.tile.mul(dst, dst, factor)  # mul
    for r in T.serial(4):  # for macro
        T.tile.add(  # add
            dst[r, :],
            dst[r, :],
            1.0,
        )


@T.prim_func
def main(
    A: T.Tensor((8, 64), 'float32'),  # A
    I: T.Tensor((8,), 'int32'),  # I
):
    with T.Kernel(4, is_npu=True) as (cid, vid):
        u = T.alloc_ub((8, 64), 'float32')  # u
        n = T.alloc_var('int32', init=0)  # n
        k = cid * 2  # let
        T.copy(  # copy
            A[0:8, :],
            u,
        )
        scale(u, 2.0)
        T.barrier_all()  # barrier
        for i, j in T.Parallel(8, 64):  # parallel
            u[i, j] = u[i, j] + 1.0  # store
        if cid > 2:  # if
            I[k] = 1  # store then
        elif cid > 1:  # elif
            I[k] = 2  # store elif
        while n < 4:  # while
            n += 1  # store while
            if n == 3:  # if break
                T.loop_break()  # break
        T.set_flag('v', 'mte3', 0); T.wait_flag('v', 'mte3', 0)  # flags
'''


def marked(word):
    (line,) = (i for i, text in enumerate(TEXT.splitlines(), 1) if text.endswith(f'# {word}'))
    return line


def test_statements_carry_their_line(source):
    module = source.module(TEXT, 'spanned')
    program = module.main.program
    assert {s.span.file for s in walk(program.body)} == {str(source.folder / 'spanned.py')}
    found = [(type(s).__name__ if not isinstance(s, Instr) else s.op, s.span.line) for s in walk(program.body)]
    expected = [('Let', 'let'), ('copy', 'copy'), ('muls', 'mul'), ('For', 'for macro'), ('adds', 'add'), ('pipe_barrier', 'barrier'),
                ('For', 'parallel'),
                ('For', 'parallel'), ('Store', 'store'), ('If', 'if'), ('Store', 'store then'), ('If', 'elif'), ('Store', 'store elif'),
                ('While', 'while'),
                ('Store', 'store while'), ('If', 'if break'), ('Break', 'break'), ('set_flag', 'flags'), ('wait_flag', 'flags')]
    assert found == [(kind, marked(word)) for kind, word in expected]
    assert {type(s) for s in walk(program.body)} == {Let, Instr, For, Store, If, While, Break}


def test_buffers_carry_the_line_that_declares_them(source):
    program = source.module(TEXT, 'spanned').main.program
    assert {b.name: b.span.line for b in program.buffers.values()} == {word: marked(word) for word in ('A', 'I', 'u', 'n')}


def test_a_program_from_the_cache_points_at_the_same_lines(source):
    from tiletwin.language import cache

    first = source.module(TEXT, 'spanned').main.program
    cache._programs.clear()
    again = source.module(TEXT, 'spanned').main
    assert again.program == first and again.program is not first
    moved = source.module('\n\n' + TEXT, 'spanned').main.program
    assert [s.span.line for s in walk(moved.body)] == [s.span.line + 2 for s in walk(first.body)]
