"""Paths inside a mount tree, with an order and a containment that know what a component is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class TargetPath(str):
    """An absolute, normalised path: starts with "/", no empty, "." or ".." components, no slash at the end.

    It is a str, so that it can be handed to any call. Its order is by components: "/a/b/c" comes before "/a/b-1",
    which text order gets wrong, and a directory always comes before what lies below it.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> TargetPath:
        """Normalise `text`; raises ValueError with a reason a person can read."""
        if not text.startswith("/"):
            raise ValueError("is not absolute (it must start with '/')")
        if "\0" in text:
            raise ValueError("contains a NUL character")
        if "//" not in text and "/." not in text and (text[-1] != "/" or text == "/"):
            return cls(text)
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise ValueError("contains '..'; write the path that is meant")
        return cls("/" + "/".join(parts))

    @property
    def parts(self) -> tuple[str, ...]:
        return () if self == "/" else tuple(self[1:].split("/"))

    @property
    def depth(self) -> int:
        """How many components it has."""
        return 0 if self == "/" else self.count("/")

    def is_under(self, other: str) -> bool:
        """True if `other` is this path or one of its ancestors."""
        return self == other or other == "/" or self.startswith(other + "/")

    def relative_to(self, other: str) -> str:
        """The rest of this path below `other`, without a leading slash; "" if they are equal."""
        if other == "/":
            return self[1:]
        if not self.is_under(other):
            raise ValueError(f"{self} is not under {other}")
        return self[len(other) + 1 :]

    def joined(self, rest: str) -> TargetPath:
        """This path with `rest` (normalised, with or without a leading slash) below it."""
        if self == "/" and type(rest) is TargetPath:
            return rest
        rest = rest.strip("/")
        if not rest:
            return self
        return TargetPath(f"/{rest}" if self == "/" else f"{self}/{rest}")

    def ancestors(self) -> Iterator[TargetPath]:
        """Every proper ancestor, the nearest first, "/" last."""
        path: str = self
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            yield TargetPath(path)

    def __lt__(self, other: str) -> bool:
        return self.parts < TargetPath(other).parts


ROOT = TargetPath("/")


def common_ancestor(first: str, second: str) -> TargetPath:
    """The deepest path that contains both."""
    if first == second:
        return TargetPath(first)
    shared = []
    for one, two in zip(TargetPath(first).parts, TargetPath(second).parts, strict=False):
        if one != two:
            break
        shared.append(one)
    return TargetPath("/" + "/".join(shared))
