"""How well modelled times predict published measurements: the rows, the kernels that describe their schedules, the score."""
