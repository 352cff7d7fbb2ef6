"""Example specs with things in them changed at random: what people write by mistake, and what they never would."""

from __future__ import annotations

import copy
import datetime
from pathlib import Path
from random import Random
from typing import Any

import tomli
from hypothesis import strategies as st

from mountplan.planner.language.mount_models import FileEntry, IdMap, Mount
from mountplan.planner.language.namespace_models import InheritedChange, InheritedRemoval, Namespace, PeerGroup
from mountplan.planner.language.path_models import Mask, MountPath, SparedPath
from mountplan.planner.language.spec import Parameter, Run, Spec

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.toml"))
MODELS = (
    FileEntry, IdMap, InheritedChange, InheritedRemoval, Mask, Mount, MountPath, Namespace, Parameter, PeerGroup, Run,
    SparedPath, Spec,
)  # fmt: skip

ODD_VALUES: list[Any] = [
    1, -1, 2**70, 1.5, True, "", "x", "/a", "../y", "a\nb", "slave", "é", [], {}, [1], [[1, 2, 3]], ["ro"], [{}],
    {"a": 1}, [{"path": 1}], {"mount": "no", "path": "q"}, {"escaped": "/x\\351"}, {"escaped": 3},
    datetime.date(2020, 1, 1),
]  # fmt: skip
ODD_KEYS = sorted(
    {info.alias or name for model in MODELS for name, info in model.model_fields.items()}
    | {"foo", "taget", "a b", "", "é"}
)


def inner_of(value: Any, kind: type) -> list[Any]:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [value] * isinstance(value, kind) + [found for one in inner for found in inner_of(one, kind)]


def spoilt(random: Random) -> dict[str, Any]:
    """An example spec with a few things in it changed at random."""
    spec: dict[str, Any] = tomli.loads(random.choice(SPECS).read_text())
    for _ in range(random.choice((1, 1, 1, 2, 6))):  # most have one, so that one of six is still a spec
        table = random.choice(inner_of(spec, dict))
        value = copy.deepcopy(random.choice(ODD_VALUES))
        choice = random.randrange(5)
        if choice == 0 and table:
            table[random.choice(list(table))] = value
        elif choice == 1 and table:
            del table[random.choice(list(table))]
        elif choice == 2 and (lists := [one for one in inner_of(spec, list) if one]):
            one = random.choice(lists)
            one[random.randrange(len(one))] = value
        else:
            table[random.choice(ODD_KEYS)] = value
    return spec


# From a seed, not draw by draw: one change more or less is no simpler, and the spec is shown as it is.
spoilt_specs = st.randoms(use_true_random=True).map(spoilt)
