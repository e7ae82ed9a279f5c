"""Worker processes: each custom job runs in a separate process, under a deadline and a memory limit."""
