"""The Ansible collection, against three hosts on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.fleet_hosts import NAMES, FleetHost, Recap, fleet_of, hosts, play
from tests.hosts import CHECKOUT, PATIENCE

pytestmark = [
    pytest.mark.needs_kernel("root", "set-group"),
    pytest.mark.skipif(bool(fleet_of()), reason=fleet_of() or "there is one"),
]

SPEC = """\
format = 1
name = "shop"
[parameters]
size = "1m"
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
target = "/data"
type = "tmpfs"
options = { size = "${size}" }
peer_group = "data"
[peer_group.data]
"""
TASK = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: keep the shop
      mountplan.mountplan.mountplan:
        executable: "{{ mountplan }}"
        content: "{{ lookup('ansible.builtin.template', 'shop.toml.j2') }}"
        parameters: {size: 2m}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.toml.j2").write_text(SPEC.replace('"data"', '"{{ group | default("data") }}"'))
    return tmp_path


@pytest.fixture
def there() -> Iterator[dict[str, FleetHost]]:
    with hosts() as found:
        yield found


def all_of(recap: Recap) -> dict[str, Recap]:
    return dict.fromkeys(NAMES, recap)


CHANGED, SAME, FAILED = Recap(1, 1, 0), Recap(1, 0, 0), Recap(0, 0, 1)


def test_the_first_run_changes_the_second_does_not_and_drift_on_one_heals_one(
    folder: Path, there: dict[str, FleetHost]
) -> None:
    looked = play(folder, there, TASK, "--check", "--diff")
    assert all_of(CHANGED) == looked.recap, looked.text
    assert 3 == looked.text.count("─data  tmpfs size=2m  shared:data"), looked.text
    assert all("[]\n" == one.mountplan("ls", "--json") for one in there.values())
    assert all_of(CHANGED) == play(folder, there, TASK).recap
    assert all_of(SAME) == play(folder, there, TASK).recap
    drifted = there["two"].run(
        "python3", "-c",
        "import ctypes, os; fd = os.open('/run/mountplan/shop/mnt', 0); c = ctypes.CDLL(None);"
        "assert c.setns(fd, 0x20000) == 0; assert c.umount2(b'/data', 2) == 0",
    )  # fmt: skip
    assert "" == drifted
    looked = play(folder, there, TASK, "--check", "--diff")
    assert {"one": SAME, "two": CHANGED, "three": SAME} == looked.recap, looked.text
    assert "/data" in looked.text.partition("changed: [two]")[0]
    verify = TASK.replace("        parameters", "        state: verified\n        parameters")
    failed = play(folder, there, verify)
    assert {"one": SAME, "two": FAILED, "three": SAME} == failed.recap, failed.text
    assert {"one": SAME, "two": CHANGED, "three": SAME} == play(folder, there, TASK).recap
    assert all_of(SAME) == play(folder, there, verify).recap
    absent = TASK[: TASK.index("        content")] + "        name: shop\n        state: absent\n"
    assert all_of(CHANGED) == play(folder, there, absent).recap
    assert all_of(SAME) == play(folder, there, absent).recap


def test_a_host_that_lacks_something_fails_alone_in_mountplans_words(folder: Path, there: dict[str, FleetHost]) -> None:
    filtered = {"two": f'nsenter_wrapper="python3 {Path(__file__).with_name("without_calls.py")} fsopen=EPERM"'}
    played = play(folder, there, TASK, **filtered)
    assert {"one": CHANGED, "two": FAILED, "three": CHANGED} == played.recap, played.text
    assert "fsopen" in played.text
    assert "remedy: " in played.text


LIVE = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: change it
      mountplan.mountplan.mountplan:
        executable: "{{ mountplan }}"
        spec: /srv/shop.toml
        state: live
"""


def test_what_stands_is_changed_under_its_processes(folder: Path, there: dict[str, FleetHost]) -> None:
    one = {"one": there["one"]}
    place = Path(f"/proc/{there['one'].pid}/root/srv/shop.toml")
    place.write_text(SPEC)
    assert CHANGED == play(folder, one, LIVE).recap["one"]
    assert SAME == play(folder, one, LIVE).recap["one"]
    before = there["one"].run("stat", "-Lc", "%i", "/run/mountplan/shop/mnt")
    place.write_text(SPEC + '[[mount]]\ntarget = "/more"\ntype = "tmpfs"\n')
    looked = play(folder, one, LIVE, "--check", "--diff")
    assert CHANGED == looked.recap["one"]
    assert "+     /more" in looked.text
    assert CHANGED == play(folder, one, LIVE).recap["one"]
    assert before == there["one"].run("stat", "-Lc", "%i", "/run/mountplan/shop/mnt")
    assert SAME == play(folder, one, LIVE).recap["one"]


USERS = """\
- hosts: all
  gather_facts: false
  become: true
  become_user: deploy
  tasks:
    - name: keep a tree without root
      mountplan.mountplan.mountplan:
        executable: "{{ mountplan }}"
        name: work
        content: |
          format = 1
          [[mount]]
          target = "/"
          type = "tmpfs"
          [[mount.file]]
          path = "of-another"
          content = ""
          uid = 1
    - name: what there is
      mountplan.mountplan.mountplan_facts:
        executable: "{{ mountplan }}"
    - name: told
      ansible.builtin.debug:
        msg: "kept: {{ ansible_facts.mountplan.names | map(attribute='name') | join(' ') }}"
"""


def test_an_ordinary_user_keeps_names_and_one_without_subordinate_ids_is_told(folder: Path) -> None:
    with hosts(with_ids=("one", "three")) as there:
        played = play(folder, there, USERS)
        assert {"one": Recap(3, 1, 0), "two": FAILED, "three": Recap(3, 1, 0)} == played.recap, played.text
        told = "a file cannot belong to user 1 here: the user namespace has users and groups 0 only"
        assert 1 == played.text.count(f'"msg": "<stdin>:8: mount[0].file[0].uid: {told}'), played.text
        assert 2 == played.text.count("kept: work"), played.text
        again = play(folder, {"one": there["one"]}, USERS)
        assert Recap(3, 0, 0) == again.recap["one"], again.text


CAPTURE = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: write it down
      mountplan.mountplan.mountplan_capture:
        executable: "{{ mountplan }}"
        name: shop
        dest: /srv/captured.toml
        mode: "0640"
"""


def test_parameters_are_texts_and_numbers(folder: Path, there: dict[str, FleetHost]) -> None:
    one = {"one": there["one"]}
    truth = TASK.replace("{size: 2m}", "{size: true}")
    assert "tmpfs size=true " in play(folder, one, truth, "--check", "--diff").text
    assert "size is neither a text nor a number" in play(folder, one, truth.replace("true", "[1]"), "--check").text


def test_a_capture_is_written_once(folder: Path, there: dict[str, FleetHost]) -> None:
    one = {"one": there["one"]}
    assert CHANGED == play(folder, one, TASK).recap["one"]
    looked = play(folder, one, CAPTURE, "--check", "--diff")
    assert CHANGED == looked.recap["one"]
    assert '+target = "/data"' in looked.text
    assert CHANGED == play(folder, one, CAPTURE).recap["one"]
    assert SAME == play(folder, one, CAPTURE).recap["one"]
    assert "640\n" == there["one"].run("stat", "-c", "%a", "/srv/captured.toml")
    assert "no mistakes" in there["one"].mountplan("check", "/srv/captured.toml")


ROLE = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: install
      ansible.builtin.include_role:
        name: mountplan.mountplan.mountplan
      vars:
        mountplan_link: /opt/bin-mountplan
        mountplan_python: "{{ python }}"
        mountplan_package: "{{ wheel }}"
        mountplan_pip_arguments: [--no-index, --find-links, "{{ wheels }}"]
        mountplan_enable: false
        mountplan_specs:
          shop: "{{ lookup('ansible.builtin.template', 'shop.toml.j2') }}"
    - name: keep it
      mountplan.mountplan.mountplan:
        executable: /opt/bin-mountplan
        spec: /etc/mountplan/shop.toml
"""


def test_the_role_installs_the_program_the_unit_and_specs(folder: Path, there: dict[str, FleetHost]) -> None:
    one = {"one": there["one"]}
    wheels = folder / "wheels"
    line: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "--quiet",
        "--wheel-dir",
        wheels,
        CHECKOUT,
    ]
    caching = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}  # pip keeps what it builds on the way there
    subprocess.run(line, env=caching, check=True, stdin=subprocess.DEVNULL, timeout=300 * PATIENCE)
    (wheel,) = wheels.glob("mountplan-*.whl")
    there["one"].run("mkdir", "-p", str(wheels))
    values = {"wheel": wheel, "wheels": wheels, "python": sys.executable}
    words = [word for name, value in values.items() for word in ("-e", f"{name}={value}")]
    first = play(folder, one, ROLE, *words)
    assert (0, True) == (first.recap["one"].failed, first.recap["one"].changed >= 6), first.text
    again = play(folder, one, ROLE, *words)
    assert (0, 0) == (again.recap["one"].failed, again.recap["one"].changed), again.text
    unit = (CHECKOUT / "contrib" / "mountplan@.service").read_text()
    assert unit == there["one"].run("cat", "/etc/systemd/system/mountplan@.service")
    assert '"healthy"' in there["one"].run("/opt/bin-mountplan", "ls", "--json")
    wrong = play(folder, one, ROLE, *words, "-e", "group=no/name")
    assert 1 == wrong.recap["one"].failed
    assert "peer_group" in wrong.text


SYSTEMCTL = """\
#!/bin/sh
echo "$1" >>/opt/asked
case $1 in
show) printf 'LoadState=loaded\\nActiveState=active\\n' ;;
is-enabled) echo enabled ;;
esac
"""
UNITS = """\
- hosts: all
  gather_facts: false
  environment: {PATH: "/opt/fake:/usr/bin:/bin:/usr/sbin:/sbin"}
  roles:
    - role: mountplan.mountplan.mountplan
      mountplan_venv: "{{ prefix }}"
      mountplan_unit: true
      mountplan_enable: true
      mountplan_specs: {shop: "{{ lookup('ansible.builtin.template', 'shop.toml.j2') }}"}
"""


def test_a_spec_that_has_changed_reloads_the_unit_that_has_it(folder: Path, there: dict[str, FleetHost]) -> None:
    """With an invented systemctl: the hosts have no systemd."""
    one = {"one": there["one"]}
    (folder / "systemctl").write_text(SYSTEMCTL)
    there["one"].run("mkdir", "-p", "/opt/fake", "/etc/mountplan", "/etc/systemd/system")
    there["one"].run("install", "-m", "755", folder / "systemctl", "/opt/fake/systemctl")
    seen = []
    for more in ("", "", "# more\n"):
        (folder / "shop.toml.j2").write_text(SPEC + more)
        played = play(folder, one, UNITS, "-e", f"prefix={sys.prefix}", "--start-at-task", "Write the specs")
        assert 0 == played.recap["one"].failed, played.text
        asked = there["one"].run("sh", "-c", "cat /opt/asked; rm /opt/asked").split()
        seen.append([word for word in asked if word in ("start", "reload")])
    assert [["reload"], [], ["reload"]] == seen
