"""x"""
def plan(program, ctx):
    return program
