"""How fast the engine is, as a ratio to torch's CPU time for the same maths."""
