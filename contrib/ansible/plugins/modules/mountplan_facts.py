#!/usr/bin/python
# Copyright (c) mountplan developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mountplan_facts
short_description: What a host can build, and what is kept on it
version_added: 0.1.0
description:
  - Tries each feature that mountplan can use (C(mountplan doctor)), and lists kept names (C(mountplan ls)).
author:
  - mountplan developers (@mountplan)
options:
  executable:
    description: The program, if it is not in a directory of E(PATH).
    type: path
  rootless:
    description: Whether to try what an ordinary user can do. V(auto) does so unless it works without.
    type: str
    choices: [auto, always, never]
    default: auto
attributes:
  check_mode:
    description: Nothing is changed in either mode.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  facts:
    description: It returns facts.
    support: full
"""

EXAMPLES = r"""
- name: Find out what the host can do
  mountplan.mountplan.mountplan_facts:

- name: Leave out what it cannot
  ansible.builtin.meta: end_host
  when: "'set_group' in ansible_facts.mountplan.missing"
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: success
  type: dict
  contains:
    mountplan:
      description:
        - C(version), C(kernel) and C(features) as C(mountplan doctor --json) has them, C(missing) with the names of those that do not
          work, and C(names) as C(mountplan ls --json) has them.
      returned: success
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mountplan.mountplan.plugins.module_utils.command import COMMON, Mountplan


def main():
    module = AnsibleModule(argument_spec=dict(**COMMON), supports_check_mode=True)
    mountplan = Mountplan(module)
    _status, doctor = mountplan.need(["doctor", "--rootless", module.params["rootless"]])
    _status, names = mountplan.need(["ls"])
    facts = {
        "version": mountplan.run(["--version"])[1].split()[-1],
        "kernel": doctor["kernel"],
        "features": doctor["features"],
        "missing": [one["feature"] for one in doctor["features"] if not one["works"]],
        "names": names,
    }
    module.exit_json(ansible_facts={"mountplan": facts})


if __name__ == "__main__":
    main()
