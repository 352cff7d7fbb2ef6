"""SHA-256, without loading OpenSSL for a few kilobytes: that takes as long as all else that a small plan takes."""

from __future__ import annotations

import sys

_LONG = 1 << 20  # bytes from which on OpenSSL, which is faster, has made up for being loaded


def sha256_hex(data: bytes | memoryview) -> str:
    """The digest in hexadecimal digits."""
    if len(data) < _LONG:
        try:  # nothing is looked for in vain, which takes as long as to find it
            sha256 = __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256").sha256
        except ImportError:
            from hashlib import sha256
    else:
        from hashlib import sha256
    digest: str = sha256(data).hexdigest()
    return digest
