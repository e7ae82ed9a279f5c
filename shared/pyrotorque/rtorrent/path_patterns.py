"""Which paths rTorrent expands when it loads a file by its path."""


def is_pattern(path: bytes) -> bool:
    """Whether rTorrent would expand `path` (a pattern, an address or its home directory) and load something else."""
    return bool(set(path) & set(b"*?[]{}\\")) or path[:1] != b"/"
