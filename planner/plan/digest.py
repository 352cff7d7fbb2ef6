"""SHA-256, without loading OpenSSL for a few kilobytes: that takes as long as all else that a small plan takes."""

from __future__ import annotations

import sys

_BUILT_IN = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
_LONG = 1 << 20  # bytes from which on OpenSSL, which is faster, has made up for being loaded


def sha256_hex(data: bytes | memoryview) -> str:
    """The digest in hexadecimal digits."""
    module, function = ("_hashlib", "openssl_sha256") if len(data) >= _LONG else (_BUILT_IN, "sha256")
    try:  # without hashlib itself, which loads all that there are, and logs what it cannot load
        sha256 = getattr(__import__(module), function)
    except ModuleNotFoundError:
        from hashlib import sha256
    digest: str = sha256(data).hexdigest()
    return digest
