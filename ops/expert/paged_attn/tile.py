"""Sizes the modules of paged attention share."""

PAGE = 128
DIM = 128
HEADS = 16  # query heads per work item
SHARE = 4  # query heads per KV head
LOWEST = -3.4028234663852886e38
