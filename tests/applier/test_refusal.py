"""What an errno is said to mean: it depends on the call that answered it, and on the step that this was for."""

from __future__ import annotations

import errno
import os

import pytest

from mountplan import api
from mountplan.applier.sys.refusal import _MEANINGS, _TELLS_OF, explain
from mountplan.planner.errors import StepRefused
from tests.faults import CALLS
from tests.hosts import InHost, give_up_all_capabilities, mount
from tests.trees import ROOT, plan_of
from tests.without import filter_calls

LISTING = "openat, fstat, newfstatat, fcntl and getdents64"  # any of them may be the one that a filter refuses


@pytest.mark.parametrize(("kind", "number"), list(_TELLS_OF))
def test_an_errno_of_another_call_of_the_step_is_not_what_the_step_is_about(kind: str, number: int) -> None:
    """A filter may answer EINVAL for setns(2) where pivot_root(2) is still to come."""
    meaning, remedy = _MEANINGS[kind, number]
    told, what_to_do = explain(kind, number, "signalfd")
    assert meaning not in told and remedy != what_to_do and what_to_do
    for call in _TELLS_OF[kind, number]:
        assert meaning in explain(kind, number, call)[0] or os.geteuid() == 0, call


@pytest.mark.parametrize(
    ("kind", "number", "call", "remedy"),
    [
        ("keep", errno.EFBIG, "write", "raise the limit: ulimit -f"),
        ("copy_contents", errno.EFBIG, "sendfile", "raise the limit: ulimit -f"),
        ("isolate", errno.EROFS, "open /proc/12/uid_map", "mount it for writing: mount -o remount,rw /proc"),
        ("make_node", errno.EAGAIN, "read", "leave it out, or name what can be read to its end"),
        ("isolate", errno.EAGAIN, "unshare", "try again"),
        ("copy_contents", errno.EINVAL, "cannot copy the file", "leave it out of the directory of contents"),
        ("make_node", errno.ENOSPC, "mkdirat", "raise its size, and nr_inodes if that is given"),
    ],
)
def test_what_is_refused_has_a_remedy_that_helps(kind: str, number: int, call: str, remedy: str) -> None:
    assert remedy == explain(kind, number, call)[1]


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("make_filesystem", "fsopen"),
        ("make_filesystem", "fsconfig(source)"),
        ("make_node", "mkdirat"),
        ("make_node", "symlinkat"),
    ],
)
def test_what_a_step_needs_privilege_for_is_not_each_of_its_calls(kind: str, call: str) -> None:
    """A user may make a tmpfs and directories in it; that most types take root, and devices do, is beside the point."""
    _, remedy = explain(kind, errno.EPERM, call)
    assert remedy.endswith(("in its seccomp profile", "in the seccomp profile of the container or service"))


@pytest.mark.needs_kernel("root")
def test_a_filter_that_answers_for_the_way_out_of_a_chroot_is_told(in_host: InHost) -> None:
    """EINVAL of setns(2), in the step that pivot_root(2) is for."""

    def script() -> None:
        filter_calls({CALLS["setns"]: errno.EINVAL})
        api.build_and_forget(plan_of(ROOT))

    with pytest.raises(StepRefused, match="setns: Invalid argument") as caught:
        in_host(script, identity="root")
    assert (
        "look for a seccomp filter or a security module that answers so, and allow setns there" == caught.value.remedy
    )


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("call", ["prctl", "chroot", "mount_setattr", "fchownat", "mknodat"])
def test_root_that_has_the_capability_is_told_of_the_filter_alone(call: str) -> None:
    meaning, remedy = explain("", errno.EPERM, call)
    assert "capability" not in meaning + remedy and "CAP_" not in meaning + remedy
    assert remedy.startswith(f"allow {call} in ")


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(
    ("number", "call", "meaning", "remedy"),
    [
        (errno.EPERM, "mkdirat", "or it is immutable", "chattr -i"),
        (errno.EPERM, "open", "or it is immutable", "chattr -i"),
        (errno.EACCES, "open", "of a process that is protected", "leave it out"),
        (errno.EACCES, "cannot copy the file", "it can only be written to", "leave it out"),
    ],
)
def test_root_is_told_of_what_keeps_even_root_away(number: int, call: str, meaning: str, remedy: str) -> None:
    """Not each EPERM is a filter's: mkdir(2) in an immutable directory has it. Of a protected process it is EACCES."""
    told, what_to_do = explain("make_node", number, call)
    assert meaning in told and remedy in what_to_do


@pytest.mark.parametrize(
    ("function", "call"), [("fork", "clone"), ("signalfd", "signalfd4"), ("poll", "poll"), ("listdir", LISTING)]
)
def test_what_is_to_be_allowed_is_what_profiles_name(function: str, call: str) -> None:
    assert f"allow {call} in the seccomp profile of the container or service" == explain("", errno.EPERM, function)[1]


@pytest.mark.needs_kernel("root")
def test_a_process_that_proc_hides_is_not_called_gone(in_host: InHost) -> None:
    def script() -> tuple[str, str]:
        mount("proc", "/proc", "proc", data="hidepid=invisible")
        return explain("", errno.ENOENT, "open /proc/1/uid_map")

    meaning, remedy = in_host(script, identity="root")
    assert "/proc hides processes" in meaning and "hidepid=0" in remedy
    assert "hides" not in explain("", errno.ENOENT, "open /proc/1/uid_map")[0]


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(("call", "capability"), [("chroot", "CAP_SYS_CHROOT"), ("fchownat", "CAP_CHOWN")])
def test_root_without_the_capability_is_told_which_one_it_is(call: str, capability: str, in_host: InHost) -> None:
    def script() -> tuple[str, str]:
        give_up_all_capabilities()
        return explain("", errno.EPERM, call)

    meaning, remedy = in_host(script, identity="root")
    assert f"{capability} is missing, or a filter" in meaning
    assert f"give the container {capability}, and allow {call} in its seccomp profile" == remedy


@pytest.mark.parametrize("path", ["/proc/self/status", "/proc/thread-self/status", "/proc/net/dev", "/proc/mounts"])
@pytest.mark.parametrize("entry", ['[[mount.file]]\npath = "x"\nsource = ', '[[mount]]\ntarget = "/x"\nbind = '])
def test_a_file_of_the_process_that_reads_the_spec_is_a_mistake(path: str, entry: str) -> None:
    """It is gone with that process; whoever verifies later would have another one."""
    (mistake,) = api.check(f'format = 1\n{ROOT}{entry}"{path}"\n')
    assert f'host path "{path}" is of the process that reads the spec' in mistake.what


def test_a_magic_link_leads_out_of_the_directory_of_the_process() -> None:
    assert () == api.check(f'format = 1\n{ROOT}[[mount]]\ntarget = "/x"\nbind = "/proc/self/cwd"\n')
