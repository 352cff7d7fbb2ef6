"""The module `signal` without its enumerations, which cost more to load than all of it: numbers do."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signal
else:
    import _signal as signal

__all__ = ["signal"]
