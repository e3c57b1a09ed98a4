import tilelang.language as T


def kernel(N)
    return T.ceildiv(N, 16)
