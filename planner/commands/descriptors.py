"""The descriptors of a script's processes, by name: open files, which processes that are forked share."""

from __future__ import annotations

import errno

from mountplan.planner.model import ModelHandle, World, WouldRefuse


class _OpenFile:
    """What a descriptor stands for; `held` counts the descriptors, in whichever process."""

    __slots__ = ("handle", "held")

    def __init__(self, handle: ModelHandle) -> None:
        self.handle = handle
        self.held = 1


class Descriptors:
    """Of all processes, which are known by number. A name is closed in each of them by itself."""

    def __init__(self) -> None:
        self._files: dict[int, dict[str, _OpenFile]] = {}

    def handle(self, process: int, name: str) -> ModelHandle:
        """Raises WouldRefuse with EBADF if there is none of that name."""
        return self._file(process, name).handle

    def has(self, process: int, name: str) -> bool:
        return name in self._files.get(process, ())

    def put(self, world: World, process: int, name: str, handle: ModelHandle) -> None:
        """What had the name before is closed."""
        files = self._files.setdefault(process, {})
        before = files.get(name)
        files[name] = _OpenFile(handle)
        if before is not None:
            _let_go(world, before)

    def close(self, world: World, process: int, name: str) -> None:
        file = self._file(process, name)
        del self._files[process][name]
        _let_go(world, file)

    def inherit(self, parent: int, child: int) -> None:
        files = self._files.get(parent)
        if files:
            self._files[child] = dict(files)
            for file in files.values():
                file.held += 1

    def close_all(self, world: World, process: int) -> None:
        for file in self._files.pop(process, {}).values():
            _let_go(world, file)

    def _file(self, process: int, name: str) -> _OpenFile:
        file = self._files.get(process, {}).get(name)
        if file is None:
            raise WouldRefuse(errno.EBADF, f"no descriptor {name} is open in this process")
        return file


def _let_go(world: World, file: _OpenFile) -> None:
    file.held -= 1
    if not file.held:
        world.close(file.handle)
