"""What every filesystem of the differential test holds. Few names, so that mounts meet each other often."""

from __future__ import annotations

DIRECTORIES = ("/a", "/b", "/a/x", "/a/y", "/b/x", "/a/x/z")
FILES = ("/f", "/a/f")
