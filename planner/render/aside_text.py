"""What a comparison came upon that is no difference -> text: options in another form, and arrivals."""

from __future__ import annotations

from mountplan.planner.compare.difference import Drift
from mountplan.planner.render.difference_text import mount_words
from mountplan.planner.render.words import count, visible

# Why nobody tells of mounts that no root shows; which of the two it is, the kernel does not say in one way.
TAKES_LISTMOUNT = (
    "that takes Linux 6.11, CAP_SYS_ADMIN over the namespace, and statmount and listmount let through by every filter"
)


def notices_text(notices: Drift) -> str:
    """Options that the kernel took and shows in another form, both forms; "" if there is none."""
    if not notices:
        return ""
    lines = ["Taken by the kernel, and shown in another form:"]
    for one in notices:
        lines.append(f"  {mount_words(one)}: {visible(one.prop)}: {visible(one.wanted)}, shown as {visible(one.found)}")
    return "\n".join(lines) + "\n"


def arrivals_text(arrivals: Drift) -> str:
    """Mounts that propagation has brought; "" if there is none."""
    if not arrivals:
        return ""
    lines = [f"Arrived since, by propagation: {count(len(arrivals), 'mount')}"]
    lines += [f"  {mount_words(one)}: {visible(one.found)}" for one in arrivals]
    return "\n".join(lines) + "\n"
