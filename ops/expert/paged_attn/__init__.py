"""Expert paged attention: the kernel, and two ways to combine its splits."""

from .kernel import paged_attn_split_kv, split_kv

__all__ = ['paged_attn_split_kv', 'split_kv']
