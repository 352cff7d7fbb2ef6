"""Whatever command is carried out, and however it ends, the machine is afterwards what it was before.

Every command of the command line is in ROWS, with ways to succeed and ways to fail; one that is added has to be too.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mountplan.cli.parser import make_parser
from tests import machine, machinestate
from tests.cgroup2 import systemds_options
from tests.commands import PROC, programs
from tests.hosts import InHost
from tests.keptnames import SPEC, TWO
from tests.machine import Moment, is_building, runs
from tests.machinestate import State
from tests.trees import ROOT

SUCCESS = 0
DIFFERENT, USAGE, REFUSED = 1, 2, 3
KILLED = -9
SIBLING = "{sandbox}"  # stands for the process of the other namespace that keeps names


class Row(NamedTuple):
    """A command line, and how it ends.

    `keeps` and `drops` are names that come, or become others, and names that go; `keepers` is how many processes come
    with them, or go if it is negative. `killed` is when it is killed; then `ls` comes after it: the next command has to
    clean up.
    """

    words: str
    status: int | tuple[int, ...] = SUCCESS
    keeps: str = ""
    drops: str = ""
    keepers: int = 0
    stdin: str = ""
    killed: Moment | None = None

    @property
    def command(self) -> str:
        return next(word for word in shlex.split(self.words) if not word.startswith("-"))


IMAGE = '[[mount]]\ntarget = "/i"\ntype = "ext4"\nimage = "/srv/images/i.ext4"\noptions = { ro = true }\n'
# Refused when it is built: there is no room for the file.
NO_ROOM = '[[mount]]\ntarget = "/bad"\ntype = "tmpfs"\noptions = { nr_inodes = "1" }\n[[mount.file]]\npath = "x"\n'
UNSHARE = 'unshare = ["pid", "net", "ipc", "uts", "cgroup"]'
FILES = {
    "shop.toml": SPEC,
    "shop2.toml": SPEC.replace("/srv", "/opt"),
    "pair.toml": TWO,
    "programs.toml": programs(),
    "isolated.toml": programs(run=UNSHARE, mounts=PROC).replace('"programs"', '"isolated"'),
    "user.toml": programs(run='unshare = ["user"]'),
    "large.toml": 'name = "large"\n'
    + ROOT
    + "".join(f'[[mount]]\ntarget = "/{number}"\ntype = "tmpfs"\n' for number in range(150)),
    "image.toml": 'name = "image"\n' + ROOT + IMAGE,
    "inherit.toml": 'name = "inherit"\nroot = "inherit"\npropagation = "slave"\n'
    '[[mount]]\ntarget = "/srv/covered"\ntype = "tmpfs"\n',
    "all.toml": 'name = "all"\n' + ROOT + '[[mount]]\ntarget = "/host"\nbind = "/"\nrecursive = true\n',
    "cgroup.toml": 'name = "cgroup"\n' + ROOT + '[[mount]]\ntarget = "/c"\ntype = "cgroup2"\n',
    "feed.toml": '[peer_group.feed]\nhost = "/srv/feed"\n'
    + ROOT
    + '[[mount]]\ntarget = "/feed"\nbind = "/srv/feed"\nmaster = "feed"\n',
    # Each of these is wrong in another way.
    "mistakes.toml": ROOT + '[[mount]]\ntarget = "relative"\ntype = "tmpfs"\n[[mount]]\ntarget = "/a"\nbind = 3\n',
    "no-toml.toml": "[[mount]",
    "missing.toml": 'name = "missing"\n' + ROOT + '[[mount]]\ntarget = "/a"\nbind = "/srv/nonesuch"\n',
    "refused.toml": 'name = "refused"\n' + ROOT + '[[mount]]\ntarget = "/a"\ntype = "tmpfs"\n' + NO_ROOM,
    "refused-pair.toml": TWO + '[[namespace.mount]]\ntarget = "/bad"\ntype = "tmpfs"\noptions = { nr_inodes = "1" }\n'
    '[[namespace.mount.file]]\npath = "x"\n',
    "refused-image.toml": 'name = "refused"\n' + ROOT + IMAGE + NO_ROOM,
    "no-image.toml": 'name = "refused"\n' + ROOT + IMAGE.replace("i.ext4", "zeros"),
    "refused-inherit.toml": 'name = "refused"\nroot = "inherit"\npropagation = "slave"\n'
    + NO_ROOM.replace("/bad", "/srv/covered"),
    "refused-feed.toml": '[peer_group.feed]\nhost = "/srv/feed"\n'
    + ROOT
    + '[[mount]]\ntarget = "/feed"\nbind = "/srv/feed"\npeer_group = "feed"\n'
    + NO_ROOM,
    "debugfs.toml": 'name = "debugfs"\n'
    + ROOT
    + '[[mount]]\ntarget = "/d"\ntype = "debugfs"\noptions = { mode = "0500" }\n',
}
CONTAINER = '{"ociVersion": "1.0.2", "id": "one", "status": "running", "pid": {sandbox}, "bundle": "/srv/bundle"}'
SCRIPT = """\
mkdir /a
mount -t tmpfs a /a
mount --make-shared /a
unshare -m --propagation slave sleep 9 &
mount --bind /a /a
"""

# Names come and go in the order of the table: "shop" is kept from its first row on.
ROWS = (
    # check
    Row("check shop.toml pair.toml programs.toml isolated.toml image.toml feed.toml"),
    Row("check --json shop.toml"),
    Row("check --rootless always shop.toml"),
    Row("check -", stdin="format = 1\n" + SPEC),
    Row("check mistakes.toml shop.toml no-toml.toml missing.toml", USAGE),
    Row("check --json mistakes.toml", USAGE),
    Row("check --rootless always image.toml", REFUSED),
    Row("check", USAGE),
    # plan
    Row("plan shop.toml"),
    Row("plan --json -o work/pair.json pair.toml"),
    Row("plan -o work/refused.json refused.toml"),
    Row("plan --classic pair.toml"),
    Row("plan --after 5 shop.toml"),
    Row("plan --why /srv shop.toml"),
    Row("plan inherit.toml"),
    Row("plan --format dot feed.toml"),
    Row("plan --max-mounts 1 shop.toml", DIFFERENT),
    Row("plan mistakes.toml", USAGE),
    Row("plan -o nonesuch/plan.json shop.toml", USAGE),
    Row("plan nonesuch.toml", USAGE),
    Row("plan --why /nonesuch shop.toml", USAGE),
    Row("plan debugfs.toml", (DIFFERENT, USAGE)),
    # apply
    Row("apply --forget shop.toml"),
    Row("apply --forget --json work/pair.json"),
    Row("apply --forget --rootless always shop.toml"),
    Row("apply --forget image.toml"),
    Row("apply --forget inherit.toml"),
    Row("apply --forget all.toml"),
    Row("apply --forget cgroup.toml"),
    Row("apply --forget --no-cache feed.toml"),
    Row("apply shop.toml", keeps="shop"),
    Row("apply --json shop.toml"),
    Row("apply --replace shop.toml", keeps="shop"),
    Row("apply --name shop2 --replace shop2.toml", keeps="shop2"),
    Row("apply pair.toml", keeps="pair"),
    Row("apply isolated.toml", keeps="isolated", keepers=1),
    Row("apply image.toml", keeps="image"),
    Row("apply --name shop shop2.toml", DIFFERENT),
    Row("apply --max-mounts 1 --forget shop.toml", DIFFERENT),
    Row("apply --name ../x shop.toml", USAGE),
    Row("apply mistakes.toml", USAGE),
    Row("apply missing.toml", USAGE),
    Row("apply --forget --replace shop.toml", USAGE),
    Row("apply --frobnicate shop.toml", USAGE),
    Row("apply refused.toml", REFUSED),
    Row("apply --json refused.toml", REFUSED),
    Row("apply work/refused.json", REFUSED),
    Row("apply --forget refused-pair.toml", REFUSED),
    Row("apply refused-image.toml", REFUSED),
    Row("apply no-image.toml", REFUSED),
    Row("apply --forget refused-inherit.toml", REFUSED),
    Row("apply --forget refused-feed.toml", REFUSED),
    Row("apply --name shop --replace refused.toml", REFUSED),
    Row("apply --rootless always --forget image.toml", REFUSED),
    Row("apply --timeout 0.001 --forget large.toml", REFUSED),
    Row("apply --forget debugfs.toml", (DIFFERENT, USAGE)),
    Row("apply large.toml", KILLED, killed=is_building),
    Row("apply --name shop --replace large.toml", KILLED, killed=is_building),
    # run
    Row("run programs.toml -- /usr/bin/true"),
    Row("run --no-cache isolated.toml -- /usr/bin/mount -t tmpfs inside /tmp"),
    Row("run --rootless always programs.toml -- /usr/bin/true"),
    Row("run user.toml -- /usr/bin/true"),
    Row(
        "run programs.toml -- /usr/bin/sh -c 'mount --make-rshared / && mount -t tmpfs x /tmp && umount /usr; exit 7'",
        7,
    ),
    Row("run programs.toml -- /nonesuch", 127),
    Row("run programs.toml -- /tmp", 126),
    Row("run isolated.toml -- /usr/bin/sh -c 'kill -9 $$'", 137),
    Row("run --json isolated.toml -- /nonesuch", 127),
    Row("run refused.toml -- /usr/bin/true", REFUSED),
    Row("run mistakes.toml -- /usr/bin/true", USAGE),
    Row("run programs.toml --", USAGE),
    Row("run --max-mounts 1 programs.toml -- /usr/bin/true", DIFFERENT),
    Row("run programs.toml -- /usr/bin/sleep 60", KILLED, killed=runs("sleep")),
    Row("run isolated.toml -- /usr/bin/sleep 60", KILLED, killed=runs("sleep")),
    # enter, ls, show
    Row("apply programs.toml", keeps="programs"),
    Row("enter programs -- /usr/bin/true"),
    Row("enter isolated -- /usr/bin/true"),
    Row("enter programs -- /usr/bin/sh -c 'exit 7'", 7),
    Row("enter programs -- /nonesuch", 127),
    Row("enter --json shop", 127),
    Row("enter nonesuch", USAGE),
    Row("enter pair/middle", USAGE),
    Row("enter programs -- /usr/bin/sleep 60", KILLED, killed=runs("sleep")),
    Row("ls"),
    Row("ls --json"),
    Row("ls nonesuch", USAGE),
    Row("show shop"),
    Row("show --json --all pair"),
    Row("show nonesuch", USAGE),
    # capture
    Row("capture shop"),
    Row("capture --pid 1 -o work/machine.toml", (SUCCESS, DIFFERENT)),
    Row("capture --json --ns /run/tool/ns/app.mnt --pid {service}", (SUCCESS, DIFFERENT)),
    Row("capture --contents -o work/shop.toml shop"),
    Row("capture --tree 1", (SUCCESS, DIFFERENT)),
    Row("capture nonesuch", USAGE),
    Row("capture --pid 999999", (USAGE, REFUSED)),
    Row("capture --ns /run/netns/blue", (USAGE, REFUSED)),
    Row("capture shop -o nonesuch/x.toml", USAGE),
    Row("capture", USAGE),
    # import
    Row("import bwrap -- --tmpfs /tmp --ro-bind /usr /usr true"),
    Row("import --json fstab -", stdin="tmpfs /tmp tmpfs size=1m 0 0\n"),
    Row("import oci -", USAGE, stdin="{}"),
    Row("import fstab nonesuch", USAGE),
    Row("export sh shop.toml"),
    Row("export --json sh pair.toml", DIFFERENT),
    Row("export oci programs.toml", DIFFERENT),
    Row("export sh mistakes.toml", USAGE),
    # diff, verify
    Row("diff shop.toml shop"),
    Row("diff --json shop.toml shop2.toml", DIFFERENT),
    Row("diff pid:1 pid:{service}", DIFFERENT),
    Row("diff ns:/run/tool/ns/app.mnt pid:{sandbox}", DIFFERENT),
    Row("diff shop nonesuch", USAGE),
    Row("diff shop", USAGE),
    Row("verify shop.toml"),
    Row("verify --json pair.toml pair"),
    Row("verify shop.toml shop2", DIFFERENT),
    Row("verify shop.toml pid:1", DIFFERENT),
    Row("verify mistakes.toml", USAGE),
    Row("verify large.toml", USAGE),
    # explain, simulate
    Row("explain pair.toml"),
    Row("explain 1 --mount /srv/feed"),
    Row("explain {service} --unmount /srv/data"),
    Row("explain --json pair --mount /feed"),
    Row("explain 1 --why /srv/feed"),
    Row("explain nonesuch", USAGE),
    Row("explain pair.toml --mount relative", USAGE),
    Row("plan shop.toml --live shop"),
    Row("plan --json shop.toml --live shop --exit-code"),
    Row("plan shop.toml --live nonesuch", USAGE),
    Row("apply shop.toml --live"),
    Row("apply shop.toml --live --undo", USAGE),
    Row("watch shop --for 0.1"),
    Row("watch nonesuch", USAGE),
    Row("hook poststart --spec inherit.toml --on-difference log", stdin=CONTAINER),
    Row("hook poststart --spec inherit.toml", DIFFERENT, stdin=CONTAINER),
    Row("hook poststart --add mistakes.toml", USAGE, stdin=CONTAINER),
    Row("hook createRuntime --config", USAGE, stdin="{}"),
    Row("hook poststart", USAGE),
    Row("graph pair.toml"),
    Row("graph --json shop"),
    Row("graph --shared -o work/picture.txt pid:1"),
    Row("graph nonesuch", USAGE),
    Row("graph mistakes.toml", USAGE),
    Row("simulate -", stdin=SCRIPT),
    Row("simulate --compare-kernel -", stdin=SCRIPT),
    Row("simulate --json --compare-kernel -", stdin="umount /nonesuch\nmount -t tmpfs x /mnt\n"),
    Row("simulate --from 1 -", stdin="mount --bind /srv/feed /srv/data\n"),
    Row("simulate --compare-kernel -", USAGE, stdin="frobnicate\n"),
    Row("simulate --from nonesuch -", USAGE, stdin=SCRIPT),
    Row("simulate nonesuch.sh", USAGE),
    # example
    Row("example"),
    Row("example nonesuch", USAGE),
    # doctor, schema, completion
    Row("doctor", (SUCCESS, DIFFERENT)),
    Row("doctor --json --rootless always", (SUCCESS, DIFFERENT)),
    Row("doctor --rootless perhaps", USAGE),
    Row("schema"),
    Row("schema --json"),
    Row("schema shop.toml", USAGE),
    Row("completion bash"),
    Row("completion ksh", USAGE),
    # rm
    Row("rm shop2", drops="shop2"),
    Row("rm --json nonesuch isolated", USAGE, drops="isolated", keepers=-1),
    Row("rm", USAGE),
    Row("rm --all shop", USAGE),
    Row("rm nonesuch", USAGE),
    Row("rm --all", drops="shop pair image programs"),
    Row("rm -q --all"),
)


def commands() -> set[str]:
    """All that the command line has."""
    (subparsers,) = (one for one in make_parser()._actions if isinstance(one, argparse._SubParsersAction))
    return set(subparsers.choices)


def test_every_command_is_in_the_table_with_success_and_with_failure() -> None:
    """A command that is added changes nothing on the host either, and this is where that is shown."""

    def statuses(row: Row) -> tuple[int, ...]:
        return row.status if isinstance(row.status, tuple) else (row.status,)

    succeed = {row.command for row in ROWS if SUCCESS in statuses(row)}
    fail = {row.command for row in ROWS if SUCCESS not in statuses(row)}
    assert (set(), set()) == (commands() - succeed, commands() - fail)
    assert (set(), set()) == (succeed - commands(), fail - commands())
    assert len(ROWS) == len({(row.words, row.stdin) for row in ROWS})


@pytest.mark.alone
@pytest.mark.usefixtures("all_imported")
@pytest.mark.needs_kernel("root", "set-group", "loop", "mkfs.ext4", "fs:debugfs", "fs:tracefs", "fs:cgroup2")
def test_no_command_changes_the_machine(in_host: InHost) -> None:
    with systemds_options() as has_them:
        if not has_them:
            pytest.skip("the options of cgroup2 can be set from the machine's first cgroup namespace only")
        problems = confirmed(lambda: in_host(machine.on_machine(carry_out_all), identity="root", timeout=300))
    assert not problems, "\n".join(f"{words}\n    " + "\n    ".join(found) for words, found in problems.items())


def confirmed(look: Callable[[], dict[str, list[str]]]) -> dict[str, list[str]]:
    """What is wrong, by rows. Other programs may mount cgroup2 meanwhile, which sets its options for the whole machine:
    a change of these alone counts of a row that makes it each time, and others than that count at once.
    """
    problems = look()
    for _ in range(3):
        if not problems or not all(map(machinestate.concern_cgroup2_only, problems.values())):
            break
        before = problems
        problems = {
            words: found
            for words, found in look().items()
            if words in before or not machinestate.concern_cgroup2_only(found)
        }
    return problems


def test_what_others_do_to_cgroup2_is_no_problem_of_a_command_and_what_it_does_itself_is() -> None:
    options, mounts = ["mounts of 1: - 1 0 0:1 / /c rw - cgroup2 cgroup2 rw"], ["files: + /srv/x"]
    looks = iter([{"a": options}, {"b": options}])
    assert {} == confirmed(lambda: next(looks))
    assert {"a": options} == confirmed(lambda: {"a": options})
    assert {"a": mounts} == confirmed(lambda: {"a": mounts})
    looks = iter([{"a": options}, {"b": [*options, *mounts]}])
    assert {"b": [*options, *mounts]} == confirmed(lambda: next(looks))


def carry_out_all() -> dict[str, list[str]]:
    """What is wrong with each row with which something is."""
    processes = prepare()
    before = machinestate.look()
    problems: dict[str, list[str]] = {}
    for row in ROWS:
        found, before = carry_out(row, before, processes)
        if found:
            problems[row.words] = found
    return problems


def prepare() -> dict[str, str]:
    """The files that the rows name, and the processes."""
    for name, text in FILES.items():
        Path("/srv", name).write_text("format = 1\n" + text)
    Path("/srv/bundle").mkdir()
    Path("/srv/bundle/config.json").write_text('{"root": {"path": "/"}}')
    for name in ("i.ext4", "zeros"):
        Path("/srv/images", name).write_bytes(bytes(1 << 20))
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "/srv/images/i.ext4"], check=True)
    service, sandbox = machine.spawn("service", machine.be_service), machine.spawn("sandbox", machine.be_sandbox)
    kept = machine.carry_out(["apply", "-q", "shop.toml", "--name", "theirs"], within=sandbox)
    assert kept.status == 0, kept
    return {"service": str(service), "sandbox": str(sandbox)}


def carry_out(row: Row, before: State, processes: dict[str, str], *, again: bool = True) -> tuple[list[str], State]:
    """What is wrong with it, and what the machine is afterwards."""
    before = machinestate.with_systemds_options(before)
    argv = [word.format_map(processes) if "{" in word else word for word in shlex.split(row.words)]
    stdin = row.stdin.replace(SIBLING, processes["sandbox"])
    ended = machine.carry_out(argv, stdin=stdin, killed=row.killed)
    found = []
    wanted = row.status if isinstance(row.status, tuple) else (row.status,)
    if ended.status not in wanted:
        found.append(f"it ended with {ended.status}, not with {row.status}: {ended.err or ended.out}")
    if row.killed is not None:
        machinestate.settle(before)
        tidied = machine.carry_out(["ls", "-q"])
        if tidied.status:
            found.append(f"ls after it: {tidied}")
    after = machinestate.settle(before)
    names = frozenset(row.keeps.split()), frozenset(row.drops.split())
    changes = machinestate.differences(before, after, *names, row.keepers)
    if changes:
        machinestate.restore(before)
        after = machinestate.look()
    if again and not found and machinestate.concern_cgroup2_only(changes) and names == (frozenset(), frozenset()):
        return carry_out(row, after, processes, again=False)  # what it does, it does each time
    return found + changes, after
