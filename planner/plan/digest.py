"""SHA-256, without loading OpenSSL for a few kilobytes: that takes as long as all else that a small plan takes."""

from __future__ import annotations

import sys

_BUILT_IN = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
_WORTH_LOADING = 1 << 17  # bytes from which on BLAKE2 has made up for being loaded
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


def quick_hex(data: bytes) -> str:
    """A digest that no file of ours tells others: of a long text in a quarter of the time, by BLAKE2."""
    if len(data) < _WORTH_LOADING:
        return sha256_hex(data)
    try:
        blake2b = __import__("_blake2").blake2b
    except ModuleNotFoundError:
        from hashlib import blake2b
    digest: str = blake2b(data, digest_size=32).hexdigest()
    return digest
