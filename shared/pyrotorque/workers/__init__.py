"""Worker processes: each custom job runs in a process of its own, under a deadline and a memory limit."""
