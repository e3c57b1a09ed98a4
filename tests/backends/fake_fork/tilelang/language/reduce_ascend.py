"""Reductions of the dialect live here in the fork."""
