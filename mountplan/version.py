"""The version of mountplan: below everything, so that whatever writes it down can import it."""

from __future__ import annotations

__version__ = "0.1.0"
