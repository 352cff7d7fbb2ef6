"""Each caution of a capture has a sentence in docs/capture.md, which says what cannot be known, and why."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.hosts import CHECKOUT

# What cautions and reasons say -> what the page says of it. What is but the frame of others has nothing.
SENTENCES = {
    "left out: what it stands on cannot be seen": "What a mount stands on that the kernel does not tell",
    "peers in peer group ": "Peers of several users get",
    "it belongs to a user namespace, and will not: ": "the namespace is built as one of our own, with a caution",
    "the host has it so covered that it cannot be taken from there; a new one stands in for it": "stands in for it",
    "cannot see what it shows, taken for a ": "Whether a mount shows a file or a directory",
    "the kernel does not tell its source, which takes Linux 6.13; it will be ": "before 6.13, the sources of these",
    "; fsconfig(2) takes ": "A source of more than 255 bytes",
    "its id-mapping cannot be read, which takes Linux 6.15; it is rebuilt without": "before 6.15, the id-mappings",
    "others that it shares its events with have that": "Several sources of mounts of which there is one filesystem",
    " namespace than the copy will be in, which shows its own": "of another pid, net or ipc namespace than",
    "what it is bound from has that": "Another source of a filesystem that is bound from the host",
    ": option nouuid: not set -> set, as xfs takes no two with one UUID": "An xfs image that is mounted",
    ", and has the id-mapping that the host's mount has there": "An id-mapping that is not the spec's own",
    "of overlays over overlays the kernel tells nothing": "that has another overlay among them",
    "nothing of them is seen in it": "Which directory a layer was that is empty",
    "its work directory cannot be found any more; a new one stands in for it, beside the upper one": (
        "A work directory that is gone"
    ),
    "new empty directories stand in for what cannot be found of it any more, without the files": (
        "The files of layers that are mounted nowhere"
    ),
    "new empty directories stand in for what no mount shows any more, without the files": (
        "in a part of a filesystem that no mount shows any more"
    ),
    "; what comes of that is undefined, as the kernel says": "overlays that change each other's layers",
    " changes, and another overlay is made of it as well": "overlays of which one changes a directory of the host",
    "; that is where the same directory is now": "The path by which a directory of the host became a layer",
    "layers of it are seen through an id-mapping, of which the kernel tells nothing: owners will differ": (
        "Through which id-mapping the layers of an overlay are seen"
    ),
    "; do not build it while this one is still mounted": "If the changes of an overlay go to a directory of the host",
    "what its root does not show is missing: ": "the mounts that the root of a process does not show",
    "without --contents the copy has not what is in its root, and runs no programs: ": "A root in memory loses",
    "its name was removed, and it has others; the copy shows a file without any": "The other names of a file",
    " was removed, and is there again, as what it shows is made in there": "A directory that was removed together with",
    ": it cannot be looked into": "the files of a filesystem of which a copy cannot be had",
    "contents: it will be empty, as it was removed from an overlay, and no directory has it": (
        "the contents of files that were removed from an overlay"
    ),
    "it is the empty directory that Linux 7.0 has below all roots, and nobody can mount one": "that Linux 7.0 has",
    " of a proc: a process that was there": "`/proc/PID` bound from a proc",
    " of a devpts: a terminal, there while a program holds its other end": "bound from a devpts",
    "the kernel copies the file of a mount namespace into no other one": "the file of a mount namespace",
    " only, which is id-mapped, and this is not": "what the host shows through an id-mapping only",
    ", has been removed from its filesystem (": "what has been removed from a filesystem of the host",
    "nothing on the host shows ": "What the host has mounted, but has covered by another mount",
    " needs the program that serves it, and no mount on the host shows this filesystem": "filesystems that need",
    "), and a new one would not be the same": "block devices that the host has not mounted",
    "no mount is in peer group ": "If nothing keeps the master of a mount alive",
    " is shared or mounted on, and covered; all of that is locked": "that lies below another locked one",
    "it is in an image to which no path of the host leads: the file is removed, or in what is captured itself": (
        "images that no path of the host leads to"
    ),
    "it is in the image {}, which is mounted already, and would be damaged if it were mounted twice for writing": (
        "mounted twice they would be damaged"
    ),
    "it keeps a namespace alive, which neither a mount on the host shows nor a process that is captured is in": (
        "files of namespaces that the host has not mounted"
    ),
    "what it stands on is left out": "leaves it out with all that stands on it",
    (
        "what an overlay is made of is not told before Linux 6.6, nor of what was mounted in a user namespace or "
        "cannot be looked at: such layers are taken by their names, "
        "and what has those names by now may be something else"
    ): "What an overlay is made of, before Linux 6.6",
    "it has no ids": "or the user namespace has no ids",
}
FRAMES = {
    "the copy will differ", ", and no path leads to it: ", "it shows another ",
    " belong to several users: each can mount what appears with the others", "it is bound from ", "cannot be rebuilt: ",
    "taken by name, and without proof, since ", "another overlay is made of ", " too, and one of them changes it",
    "its changes go to the host's ", "contents: as much for ", " more differences; `mountplan diff` tells them all",
    "cannot be built as it is: ", "cannot be built as it is written: ", "Written by `mountplan capture`.",
    "the host shows what it shows at ", "what it shows, ", " of its filesystem (",
    ", which nothing keeps alive for another user", "no mount on the host shows this filesystem (",
}  # fmt: skip
_PAGES = ("mountplan/capturing.py", "mountplan/capture_judgement.py", "applier/observe/storing.py")


def _said() -> Iterator[str]:
    """The texts of three words and more in functions that caution, or give reasons."""
    for path in (*(CHECKOUT / "planner/capture").glob("*.py"), *(CHECKOUT / name for name in _PAGES)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = [node.value for node in tree.body if isinstance(node, ast.Assign)]
        named = [one.value for one in constants if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        yield from (text for text in named if len(text.split()) > 3)
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and (function.name.startswith("_why") or _cautions(function)):
                texts = (node.value for node in ast.walk(function) if isinstance(node, ast.Constant))
                yield from (
                    text
                    for text in texts
                    if isinstance(text, str)
                    and len(text.split()) > 2
                    and text != ast.get_docstring(function, clean=False)
                )


def _cautions(function: ast.FunctionDef) -> bool:
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    names = {ast.unparse(one) for one in calls}
    return bool(names & {"Caution", "self._caution", "one.give_up", "one.told.append"})


def test_each_caution_has_its_sentence_in_the_list() -> None:
    assert set() == set(_said()) - FRAMES ^ SENTENCES.keys()
    page = " ".join((CHECKOUT / "docs/capture.md").read_text(encoding="utf-8").split())
    assert [] == [sentence for sentence in SENTENCES.values() if sentence not in page]
