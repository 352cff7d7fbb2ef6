"""Nothing inside gets hold of a file of the host by way of the process that starts it (the kind of CVE-2019-5736)."""

from __future__ import annotations

from functools import partial

import pytest

from tests.hosts import Identity, InHost
from tests.interpreter import COMMANDS, WAYS, attacked

pytestmark = pytest.mark.needs_kernel("root", "nobody", "set-group")


@pytest.mark.parametrize(
    ("way", "who"), [*((way, "root") for way in WAYS), *((way, "nobody") for way in ("execute", "enter-pid", "tree"))]
)
def test_a_command_that_leads_to_the_process_that_starts_it_is_126(way: str, who: Identity, in_host: InHost) -> None:
    """Root without a user namespace, and an ordinary user, who is root in one."""
    found = in_host(partial(attacked, way), identity=who)
    said = {name: one.err for name, one in found.items() if name != "descriptor"}
    assert dict.fromkeys(COMMANDS, 126) == {name: one.status for name, one in found.items()}
    assert [] == [name for name, text in said.items() if "is /proc/self/exe" not in text]


@pytest.mark.parametrize("way", ["execute", "tree"])
def test_without_the_trampoline_they_would_get_hold_of_it(way: str, in_host: InHost) -> None:
    """So that the test above can fail."""
    found = in_host(partial(attacked, way, plain=True), identity="root")
    ran = {name for name, one in found.items() if one.out.startswith("RUNS /tmp/mountplan-test-")}
    assert {"symlink", "script", "script-behind-a-symlink"} | ({"descriptor"} if way == "execute" else set()) <= ran
    assert 126 != found["loader"].status
