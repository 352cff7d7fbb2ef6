"""The limits of overlays that check tells are the kernel's."""

from __future__ import annotations

import pytest

from mountplan.planner.errors import SpecError, StepRefused
from mountplan.planner.resolve import overlay_limits
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("mountns", "fs:overlay")

STORE = '[[mount]]\nid = "s"\ntype = "tmpfs"\n' + "".join(
    f'[[mount.file]]\npath = "{name}"\ndirectory = true\n' for name in "abcd"
)


def stacked(height: int) -> str:
    """So many overlays, each with a layer that is all of the one below it."""
    spec, below = ROOT + STORE, '{ mount = "s", path = "/a" }'
    for number, name in zip(range(height), "bcd", strict=False):
        spec += f'[[mount]]\nid = "o{number}"\ntarget = "/o{number}"\ntype = "overlay"\n'
        spec += f'layers = [{below}, {{ mount = "s", path = "/{name}" }}]\n'
        below = f'{{ mount = "o{number}", path = "/" }}'
    return spec


def test_as_many_overlays_lie_upon_each_other_as_the_kernel_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    with tree(stacked(overlay_limits.HIGHEST)) as built:
        assert "overlay" == built.at(f"/o{overlay_limits.HIGHEST - 1}").fstype
    with pytest.raises(SpecError, match="at most"):
        plan_of(stacked(overlay_limits.HIGHEST + 1))
    monkeypatch.setattr(overlay_limits, "HIGHEST", 3)
    with pytest.raises(StepRefused, match="EINVAL"), tree(stacked(3)):
        pass


@pytest.mark.parametrize(
    "option",
    [
        "volatile = true",
        'uuid = "off"',
        "userxattr = true",
        # a user namespace has neither the attributes nor the file handles that these take
        pytest.param('metacopy = "on"', marks=pytest.mark.needs_kernel("root")),
        pytest.param('index = "on"', marks=pytest.mark.needs_kernel("root")),
    ],
)
def test_options_go_to_the_kernel_as_written(option: str) -> None:
    overlay = '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = [{ mount = "s", path = "/a" }]\n'
    spec = f'{ROOT}{STORE}{overlay}upper = {{ mount = "s", path = "/up" }}\noptions = {{ {option} }}\n'
    name, _, value = option.partition(" = ")
    with tree(spec) as built:
        shown = built.at("/o").options.replace("fsync=volatile", "volatile").split(",")  # as newer kernels call it
    assert (name if value == "true" else f"{name}={value.strip(chr(34))}") in shown
