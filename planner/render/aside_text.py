"""What a comparison came upon that is no difference -> text: options in another form, and arrivals."""

from __future__ import annotations

from mountplan.planner.compare.difference import Drift
from mountplan.planner.render.difference_text import mount_words
from mountplan.planner.render.words import count, visible
from mountplan.planner.tables.options import NOT_SHOWN

# Why nobody tells of mounts that no root shows; which of the two it is, the kernel does not say in one way.
TAKES_LISTMOUNT = (
    "that takes Linux 6.11, CAP_SYS_ADMIN over the namespace, and statmount and listmount let through by every filter"
)


def notices_text(notices: Drift) -> str:
    """Options that the kernel took and shows in another form, both forms, or not at all; "" if there is none."""
    if not notices:
        return ""
    unshown = any(one.found == NOT_SHOWN for one in notices)
    lines = [f"Taken by the kernel, and shown in another form{' or not at all' * unshown}:"]
    for one in notices:
        found = one.found if one.found == NOT_SHOWN else f"shown as {visible(one.found)}"
        lines.append(f"  {mount_words(one)}: {visible(one.prop)}: {visible(one.wanted)}, {found}")
    return "\n".join(lines) + "\n"


def arrivals_text(arrivals: Drift) -> str:
    """Mounts that propagation has brought; "" if there is none."""
    if not arrivals:
        return ""
    lines = [f"Arrived since, by propagation: {count(len(arrivals), 'mount')}"]
    lines += [f"  {mount_words(one)}: {visible(one.found)}" for one in arrivals]
    return "\n".join(lines) + "\n"
