"""The chips and what their instructions cost."""
