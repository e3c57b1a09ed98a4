"""What people and tools read: console text, JSON, timelines."""
