"""Facts that only the Linux kernel has: processes, mounted filesystems and free space."""
