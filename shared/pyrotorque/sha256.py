"""SHA-256 without OpenSSL: `hashlib` loads it, which takes 1 MiB in each process."""

try:
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]  # CPython 3.12 and newer
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]  # CPython 3.11
    except ImportError:  # another Python, or one that was built without them
        from hashlib import sha256

__all__ = ["hexdigest"]


def hexdigest(data: bytes) -> str:
    """The SHA-256 of `data`: 64 lower-case hexadecimal digits."""
    digest: str = sha256(data).hexdigest()
    return digest
