"""Hashes of passwords: each guess needs 32 MiB and a tenth of a second."""

import hashlib
import hmac
import secrets
from typing import Final

_COST: Final = 2**15
_BLOCK: Final = 8
_MEMORY_MAX: Final = 64 << 20


def password_hash(password: str) -> str:
    """What is stored of a password: `salt$hash` in hexadecimal digits."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${_scrypt(password, salt)}"


def password_matches(password: str, stored: str) -> bool:
    """Takes the same time without a stored password."""
    salt, _, expected = stored.partition("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt) or b"0" * 16), expected or "0" * 128)


def _scrypt(password: str, salt: bytes) -> str:
    content = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(content, salt=salt, n=_COST, r=_BLOCK, p=1, maxmem=_MEMORY_MAX).hex()
