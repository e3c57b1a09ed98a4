"""Placeholder."""
def run(program, ctx):
    return program
