"""A model of the kernel's mounts and their propagation; agrees with Linux 6.18 operation by operation.

Pure: a World is built, system calls are made on it, MountTables come out. tests/kernel/model_driver.py compares it with
the kernel. See docs/propagation.md for how it is built and how it is kept true.
"""

from __future__ import annotations

from mountplan.planner.propagation.objects import Handle, Mount, Namespace, Process, Superblock, UserNamespace
from mountplan.planner.propagation.refused import WouldRefuse
from mountplan.planner.propagation.rules import KNOWN, RULES_6_1, RULES_6_12, RULES_6_18, Rules, is_known, rules_of
from mountplan.planner.propagation.world import World

__all__ = [
    "KNOWN",
    "RULES_6_1",
    "RULES_6_12",
    "RULES_6_18",
    "Handle",
    "Mount",
    "Namespace",
    "Process",
    "Rules",
    "Superblock",
    "UserNamespace",
    "World",
    "WouldRefuse",
    "is_known",
    "rules_of",
]
