"""Custom jobs run in a process of their own each: what they do there cannot hurt the others."""
