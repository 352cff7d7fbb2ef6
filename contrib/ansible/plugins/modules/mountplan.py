#!/usr/bin/python
# Copyright (c) mountplan developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mountplan
short_description: Keep mount namespaces as a spec says
version_added: 0.1.0
description:
  - Builds the mount tree of a spec in a namespace of its own, verifies it, and keeps it under a name.
  - Runs as root, or with O(ignore:become_user) as an ordinary user, whose names are kept without root.
author:
  - mountplan developers (@mountplan)
options:
  name:
    description:
      - The name to keep it under. Without it, the spec's own.
      - Required for O(state=absent).
    type: str
  spec:
    description: The spec (TOML), or a saved plan, on the managed host.
    type: path
  content:
    description:
      - The text of the spec. With P(ansible.builtin.template#lookup), a template of the controller's.
      - Paths that begin with C(./) and C(include) need a file, so use O(spec) for these.
    type: str
  parameters:
    description: Values for the C([parameters]) of the spec, texts and numbers. V(true) and V(false) come to these words.
    type: dict
    default: {}
  state:
    description:
      - V(present) - what the spec says is kept under the name. If what stands there is something else by now, or the spec
        has changed, it is built anew, verified, and swapped in. Who is inside stays in the old one.
      - V(live) - the same, but what stands is changed under the processes that are in it.
      - V(verified) - nothing is changed, and it fails if what stands is not what the spec says.
      - V(absent) - nothing is kept under the name.
    type: str
    choices: [present, absent, verified, live]
    default: present
  allow:
    description: What a change of V(live) may do that is refused otherwise.
    type: list
    elements: str
    choices: [move, gap, propagation]
    default: []
  executable:
    description: The program, if it is not in a directory of E(PATH).
    type: path
  rootless:
    description: Whether to use a user namespace. V(auto) does so unless it works without one.
    type: str
    choices: [auto, always, never]
    default: auto
attributes:
  check_mode:
    description: Nothing is built; whether something would be changed is told by planning and by comparing.
    support: full
  diff_mode:
    description: The preview of mountplan, or the differences of what stands, in its own words.
    support: full
"""

EXAMPLES = r"""
- name: Keep the tree of the shop
  mountplan.mountplan.mountplan:
    spec: /etc/mountplan/shop.toml
    parameters:
      size: 64m

- name: Keep a tree of a template, for an ordinary user
  mountplan.mountplan.mountplan:
    name: work
    content: "{{ lookup('ansible.builtin.template', 'work.toml.j2') }}"
  become: true
  become_user: deploy

- name: Change it under the processes that run in it
  mountplan.mountplan.mountplan:
    spec: /etc/mountplan/shop.toml
    state: live

- name: Fail where it has drifted
  mountplan.mountplan.mountplan:
    spec: /etc/mountplan/shop.toml
    state: verified
"""

RETURN = r"""
outcome:
  description: What was done, or would be - C(kept), C(replaced), C(changed), C(stands), C(removed), C(absent).
  returned: success
  type: str
differences:
  description: How what stood differed from the spec, as C(mountplan verify --json) has it.
  returned: when something stands under the name
  type: list
  elements: dict
kept:
  description: The name, its files and its namespaces, as C(mountplan apply --json) has it.
  returned: when something was built, or stands
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mountplan.mountplan.plugins.module_utils.command import COMMON, Mountplan, words_of


class Work:
    """One task: a spec, a name, and what to do about them."""

    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.mountplan = Mountplan(module)
        self.data = self.params["content"]
        self.spec = "-" if self.data is not None else self.params["spec"]
        self.set = []
        for key, value in sorted(self.params["parameters"].items()):
            self.set += ["--set", "%s=%s" % (key, self._text_of(key, value))]
        self.rootless = ["--rootless", self.params["rootless"]]
        self.name = self.params["name"] or self._own_name()
        self.result = {"changed": False, "name": self.name}

    def _text_of(self, key, value):
        """A parameter as a spec would have it: Python's True is TOML's true."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, (str, int, float)):
            self.module.fail_json(msg="parameters: %s is neither a text nor a number: %r" % (key, value))
        return value

    def _own_name(self):
        _status, plan = self.mountplan.need(["plan", self.spec] + self.set + self.rootless, self.data)
        if not plan.get("name"):
            self.module.fail_json(msg="the spec has no name: give one with name")
        return plan["name"]

    def carry_out(self):
        getattr(self, self.params["state"])()
        self.module.exit_json(**self.result)

    def absent(self):
        if self.mountplan.kept(self.name) is None:
            self.result["outcome"] = "absent"
            return
        self.change("removed", "mountplan rm %s\n" % self.name)
        if not self.module.check_mode:
            self.mountplan.need(["rm", self.name])

    def verified(self):
        if self.mountplan.kept(self.name) is None:
            self.module.fail_json(msg="nothing is kept under the name %s" % self.name, **self.result)
        text = self.differences()
        if text:
            self.module.fail_json(msg=text, **self.result)
        self.result["outcome"] = "stands"

    def present(self):
        there = self.mountplan.kept(self.name)
        if there is None:
            self.build("kept", [], self.preview())
            return
        text = self.differences() if there.get("health") != "unknown" else there.get("problem", "")
        if not text:
            self.result.update(outcome="stands", kept=there)
            return
        self.build("replaced", ["--replace"], text)

    def live(self):
        there = self.mountplan.kept(self.name)
        if there is None:
            self.build("kept", [], self.preview())
            return
        words = ["--allow-%s" % one for one in self.params["allow"]] + self.set
        plan = ["plan", self.spec, "--live", self.name] + words
        status, found = self.mountplan.need(plan, self.data)
        if found.get("refused") or status:
            _status, out, err = self.mountplan.run(plan, self.data)
            self.module.fail_json(msg=(out + err).strip(), rc=status)
        if not found["changes"]:
            self.result.update(outcome="stands", kept=there)
            return
        self.change("changed", self.mountplan.run(plan, self.data)[1])
        if not self.module.check_mode:
            self.mountplan.need(["apply", self.spec, "--live", "--name", self.name] + words, self.data)

    def build(self, outcome, words, text):
        self.change(outcome, text)
        if self.module.check_mode:
            return
        command = ["apply", self.spec, "--name", self.name] + words + self.set + self.rootless
        _status, done = self.mountplan.need(command, self.data)
        self.result["kept"] = done["kept"]

    def change(self, outcome, text):
        self.result.update(changed=True, outcome=outcome)
        if self.module._diff:
            self.result["diff"] = {"prepared": text}

    def preview(self):
        """What would be built; a spec that is wrong, or cannot be built here, fails now, in check mode too."""
        words = [self.spec] + self.set + self.rootless
        status, found = self.mountplan.ask(["check"] + words, self.data)
        if status:
            self.fail_check(found)
        return self.mountplan.run(["plan"] + words, self.data)[1]

    def fail_check(self, found):
        if "error" in found:
            self.mountplan.fail(found["error"])
        mistakes = [one for spec in found.get("specs", ()) for one in spec.get("mistakes", ())]
        self.module.fail_json(msg=words_of({"mistakes": mistakes}), error=found)

    def differences(self):
        """How what stands differs from the spec, in words; "" if it does not."""
        words = ["verify", self.spec, "name:%s" % self.name] + self.set
        status, found = self.mountplan.need(words, self.data)
        self.result["differences"] = found["differences"]
        return self.mountplan.run(words, self.data)[1] if status else ""


def main():
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str"),
            spec=dict(type="path"),
            content=dict(type="str"),
            parameters=dict(type="dict", default={}),
            state=dict(type="str", choices=["present", "absent", "verified", "live"], default="present"),
            allow=dict(type="list", elements="str", choices=["move", "gap", "propagation"], default=[]),
            **COMMON,
        ),
        mutually_exclusive=[("spec", "content")],
        required_if=[
            ("state", "absent", ("name",)),
            ("state", "present", ("spec", "content"), True),
            ("state", "verified", ("spec", "content"), True),
            ("state", "live", ("spec", "content"), True),
        ],
        supports_check_mode=True,
    )
    Work(module).carry_out()


if __name__ == "__main__":
    main()
