"""SHA-256, without loading OpenSSL for a few kilobytes: that takes as long as all else that a small plan takes."""

from __future__ import annotations

_LONG = 1 << 20  # bytes from which on OpenSSL, which is faster, has made up for being loaded


def sha256_hex(data: bytes | memoryview) -> str:
    """The digest in hexadecimal digits."""
    if len(data) < _LONG:
        try:
            from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            try:
                from _sha256 import sha256  # type: ignore[import-not-found, no-redef, unused-ignore]
            except ImportError:
                from hashlib import sha256
    else:
        from hashlib import sha256
    digest: str = sha256(data).hexdigest()
    return digest
