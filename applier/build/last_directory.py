"""The directory in which the last walk of a kind has ended: binds of a spec lie beside one another as a rule."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.applier.sys.kernel_port import Kernel


class LastDirectory:
    """From the second time in a row on it is held open, so that what is in it takes no walk, and none to close."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.base = -1
        self._path = ""
        self._fd = -1

    def of(self, base: int, path: str) -> int:
        """A descriptor of the directory `path` below `base`, which stays ours; -1 if it was another one before."""
        if path != self._path or base != self.base:
            self.leave()
            self.base, self._path = base, path
            return -1
        if self._fd < 0:
            self._fd = self.kernel.open(base, path, tree=True)
        return self._fd

    def held(self, base: int, path: str) -> int:
        """As of(), but open the first time too."""
        fd = self.of(base, path)
        return self.of(base, path) if fd < 0 else fd

    def leave(self) -> None:
        """`base` is about to be closed, or what is seen from there to change."""
        if self._fd >= 0:
            self.kernel.close(self._fd)
        self.base = self._fd = -1

    def is_at_or_below(self, base: int, path: str) -> bool:
        """Whether it is no longer seen once something is mounted on `path` below `base`."""
        return base == self.base and (path in ("", self._path) or self._path.startswith(path + "/"))
