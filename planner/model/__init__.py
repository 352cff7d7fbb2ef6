"""A model of the kernel's mounts and their propagation, call by call. Front door: World, in world.py.

Pure: a World is built, system calls are made on it, MountTables come out. tests/kernel/model_driver.py compares it with
the kernel. See docs/propagation.md for how it is built and how it is kept true.
"""

from __future__ import annotations

from mountplan.planner.model.objects import ModelHandle, ModelMount, ModelNamespace, Process, Superblock, UserNamespace
from mountplan.planner.model.refused import WouldRefuse
from mountplan.planner.model.rules import KNOWN, RULES_6_1, RULES_6_12, RULES_6_18, Rules, is_known, rules_of
from mountplan.planner.model.world import World

__all__ = [
    "KNOWN", "RULES_6_1", "RULES_6_12", "RULES_6_18", "ModelHandle", "ModelMount", "ModelNamespace", "Process", "Rules",
    "Superblock", "UserNamespace", "World", "WouldRefuse", "is_known", "rules_of",
]  # fmt: skip
