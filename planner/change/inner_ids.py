"""The ids of a spec -> those of the user namespace in which a tree is changed, which has numbers of its own."""

from __future__ import annotations

from mountplan.planner.change import change_steps as c
from mountplan.planner.change.change_plan import ChangeObstacle
from mountplan.planner.names import IdLines, IdMapping
from mountplan.planner.plan import steps as s

_LEAVE = "leave it out, or change it from within, with mount(8)"


def with_inner_ids(
    steps: tuple[c.ChangeStep, ...], ids: IdMapping
) -> tuple[tuple[c.ChangeStep, ...], tuple[ChangeObstacle, ...]]:
    """The steps with the ids that are to be asked for in there. `ids` are lines of (id there, id in specs, count).

    What the namespace has no id for is an obstacle, and what would be given ids that nobody translates.
    """
    obstacles: list[ChangeObstacle] = []

    def inner(number: int, lines: IdLines, what: str, origin: str) -> int:
        for inside, outside, count in lines:
            if outside <= number < outside + count:
                return number - outside + inside
        told = f"{what} {number} is nobody in the user namespace in which it would be made"
        ranges = ", ".join(f"{first} to {first + count - 1}" for _, first, count in lines)
        obstacles.append(ChangeObstacle("id", told, f"the ids that it has are {ranges or 'none'}", origin))
        return number

    def option(pair: tuple[str, str | bool], origin: str) -> tuple[str, str | bool]:
        name, value = pair
        if name not in ("uid", "gid") or not isinstance(value, str) or not value.isdecimal():
            return pair
        return name, str(inner(int(value), ids[name == "gid"], f"option {name}:", origin))

    changed: list[c.ChangeStep] = []
    for step in steps:
        match step:
            case s.MakeFilesystem() | s.AttachImage() | c.Reconfigure():
                step = step._replace(options=tuple(option(pair, step.origin) for pair in step.options))
            case s.MakeNode() | c.WriteFile():
                uid = step.uid if step.uid < 0 else inner(step.uid, ids[0], f"{step.path}: uid", step.origin)
                gid = step.gid if step.gid < 0 else inner(step.gid, ids[1], f"{step.path}: gid", step.origin)
                step = step._replace(uid=uid, gid=gid)
            case s.MakeIdMap():
                what = "an id-mapping counts by the ids of another user namespace than that in which it would be made"
                obstacles.append(ChangeObstacle("id", what, _LEAVE, step.origin))
            case s.CopyContents():
                what = "what is copied belongs to ids of another user namespace than that in which it would be made"
                obstacles.append(ChangeObstacle("id", what, _LEAVE, step.origin))
            case _:
                pass
        changed.append(step)
    return tuple(changed), tuple(dict.fromkeys(obstacles))
