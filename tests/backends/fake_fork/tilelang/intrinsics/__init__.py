def make_zn_layout(buffer):
    return 'zN', buffer


def make_nz_layout(buffer):
    return 'nZ', buffer


def make_col_major_layout(buffer):
    return 'col', buffer
