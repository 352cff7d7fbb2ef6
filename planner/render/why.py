"""Why a step is where it is: the chain of what must come first, told in sentences."""

from __future__ import annotations

from mountplan.planner.errors import SpecRef
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.steps import Step
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.reasons import METHOD, speaking_edges, subject
from mountplan.planner.render.words import count, visible

_MOST_LINKS = 60
_MOST_WAITING = 8
_MOST_STEPS = 40


class Link(NamedTuple):
    """One reason: step `number` must come first. `depth` 0 is a reason for the step itself, 1 a reason for that, ..."""

    depth: int
    number: int
    step: str
    reason: str


class WhyAnswer(NamedTuple):
    """Everything there is to say about the place of one step. `cut` counts what the chain leaves out."""

    number: int
    total: int
    step: str
    origin: SpecRef
    method: str
    chain: tuple[Link, ...]
    cut: int
    waiting: tuple[tuple[int, str], ...]  # reasons of the steps that wait for this one: (their number, sentence)
    more_waiting: int


def find_steps(plan: Plan, index: PlanIndex, wanted: str) -> list[int]:
    """The numbers of the steps meant by a number, a handle, a mountpoint or a key path of the spec.

    Raises LookupError with the reason, and what is near, in words.
    """
    if wanted.isdecimal() and wanted.isascii():
        number = int(wanted) if len(wanted) < 12 else 0
        if not 1 <= number <= len(plan.steps):
            raise LookupError(f"there is no step {wanted[:20]}: the plan has steps 1 to {len(plan.steps)}")
        return [number]
    handles = {wanted, f"fs:{wanted}", f"seed:{wanted}"}
    handles |= {name for name, place in index.where.items() if place == _normal(wanted)}
    found = [
        number
        for number, step in enumerate(plan.steps, 1)
        if wanted and step.kind != "release" and (subject(step) in handles or index.written(step.origin) == wanted)
    ]
    if not found:
        raise LookupError(f"no step is about {wanted!r}{_near(wanted, index)}")
    return found


def _normal(path: str) -> str:
    try:
        return TargetPath.parse(path)
    except ValueError:
        return path


def _near(wanted: str, index: PlanIndex) -> str:
    from difflib import get_close_matches

    names = list(dict.fromkeys([*index.where.values(), *index.mounts, *index.groups]))
    near = get_close_matches(wanted, names[:5000], n=3)
    if near:
        return "; did you mean " + " or ".join(map(repr, near)) + "?"
    return "; name a step number, a mountpoint, an id or a key path such as mount[0]"


def explain(plan: Plan, index: PlanIndex, number: int) -> WhyAnswer:
    """The answer for one step, counted from 1."""
    step = plan.steps[number - 1]
    chain, cut = _chain(plan, index, number)
    waiting = [
        (index.stands(edge.after), edge.reason())
        for handle in ([subject(step)] if index.stands(subject(step)) == number else [])
        for edge in index.after.get(handle, [])
    ]
    waiting.sort()
    place, method = plan.ref(step.origin), METHOD.get(step.kind, ("", ""))[1]
    told, more = tuple(waiting[:_MOST_WAITING]), max(0, len(waiting) - _MOST_WAITING)
    return WhyAnswer(number, len(plan.steps), step.describe(), place, method, tuple(chain), cut, told, more)


def _chain(plan: Plan, index: PlanIndex, number: int) -> tuple[list[Link], int]:
    """What must come before, and before that, each step once, in the order of a walk that goes deep first."""
    found: list[Link] = []
    seen = {number}
    cut = 0
    work = [(0, before, reason) for reason, before in reversed(_direct(plan.steps[number - 1], number, index))]
    while work:
        depth, at, reason = work.pop()
        if at in seen:
            continue
        seen.add(at)
        if len(found) >= _MOST_LINKS:
            cut += 1
            continue
        step = plan.steps[at - 1]
        found.append(Link(depth, at, step.describe(), reason))
        work += [(depth + 1, before, why) for why, before in reversed(_direct(step, at, index)) if before not in seen]
    return found, cut


def _direct(step: Step, number: int, index: PlanIndex) -> list[tuple[str, int]]:
    """(reason, number of the step that must come first) for what the step itself waits for."""
    found = []
    own = subject(step)
    made = index.made.get(own, 0)
    if 0 < made < number and step.kind in ("attach", "set_attributes", "make_node", "join_group"):
        verb = {"attach": "attached", "join_group": "put into a group"}.get(step.kind, "changed")
        found.append((f"{own} must exist before it is {verb}", made))
    if step.kind == "join_group":
        carried = [one for one in index.children.get(own, ()) if 0 < index.attached.get(one.name, 0) < number]
        for one in sorted(carried, key=lambda one: -index.attached[one.name])[:3]:
            found.append((f"{one.name} is attached to {own} while that is still private", index.attached[one.name]))
    for reason, _handle, before in speaking_edges(step, index):
        if 0 < before < number:
            found.append((reason, before))
    return found


def why_text(plan: Plan, wanted: str) -> str:
    """Why the step that is meant by `wanted` is where it is. Raises LookupError if there is none."""
    index = PlanIndex(plan)
    numbers = find_steps(plan, index, wanted)
    answers = [explain(plan, index, number) for number in numbers[:_MOST_STEPS]]
    if len(answers) == 1:
        return _told(answers[0])
    # Several steps of one mount share most of their chains: each tells its own reasons here.
    answers = [one._replace(chain=tuple(link for link in one.chain if link.depth == 0), cut=0) for one in answers]
    text = "\n".join(map(_told, answers))
    if len(numbers) > len(answers):
        text += f"\n... and {count(len(numbers) - len(answers), 'more step')}\n"
    return text + f"\n--why with a step number, such as {numbers[0]}, tells the whole chain.\n"


def why_data(plan: Plan, wanted: str) -> list[dict[str, object]]:
    """The same as values for JSON."""
    index = PlanIndex(plan)
    return [_as_data(explain(plan, index, number)) for number in find_steps(plan, index, wanted)]


def _told(answer: WhyAnswer) -> str:
    lines = [f"Step {answer.number} of {answer.total}: {visible(answer.step)}"]
    if answer.origin.key:
        lines.append(f"  written at {visible(str(answer.origin))}")
    if answer.method:
        lines.append(f"  {answer.method}")
    if answer.chain:
        lines.append("  It comes after")
        for link in answer.chain:
            indent = "    " + "  " * min(link.depth, 12)
            lines += [f"{indent}step {link.number}: {visible(link.step)}", f"{indent}    {visible(link.reason)}"]
        if answer.cut:
            lines.append(f"    ... and {count(answer.cut, 'more step')}")
    if answer.waiting:
        lines.append("  It comes before")
        for number, sentence in answer.waiting:
            lines.append(f"    {f'step {number}: ' if number else ''}{visible(sentence)}")
        if answer.more_waiting:
            lines.append(f"    ... and {answer.more_waiting:,} more that wait for it")
    return "\n".join(lines) + "\n"


def _as_data(answer: WhyAnswer) -> dict[str, object]:
    return {
        "number": answer.number,
        "step": answer.step,
        "origin": {key: getattr(answer.origin, key) for key in ("file", "key", "line")},
        "method": answer.method,
        "after": [link._asdict() for link in answer.chain],
        "before": [{"number": number, "reason": reason} for number, reason in answer.waiting],
    }
