#!/usr/bin/python
# Copyright (c) mountplan developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mountplan_capture
short_description: Write live mount namespaces down as a spec
version_added: 0.1.0
description:
  - Captures what stands in a process's mount namespace, in a namespace file or under a kept name, into a file of the managed
    host. The same state gives the same file.
author:
  - mountplan developers (@mountplan)
options:
  dest:
    description: The spec to write.
    type: path
    required: true
  pid:
    description: A process.
    type: int
  namespace_file:
    description: A namespace file, such as V(/run/netns/x) of another kind or V(/proc/1/ns/mnt).
    type: path
  name:
    description: A kept name.
    type: str
  strict:
    description: Fail if there is anything to know about the spec. Otherwise that is a warning, and C(cautions).
    type: bool
    default: false
  executable:
    description: The program, if it is not in a directory of E(PATH).
    type: path
  rootless:
    description: Not used here; there so that all modules of the collection take it.
    type: str
    choices: [auto, always, never]
    default: auto
extends_documentation_fragment:
  - ansible.builtin.files
attributes:
  check_mode:
    description: What stands is captured, and the file is not written.
    support: full
  diff_mode:
    description: The spec before and after.
    support: full
"""

EXAMPLES = r"""
- name: Write down what PID 1 has mounted
  mountplan.mountplan.mountplan_capture:
    pid: 1
    dest: /etc/mountplan/machine.toml
"""

RETURN = r"""
cautions:
  description: What should be known about the spec.
  returned: success
  type: list
  elements: str
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mountplan.mountplan.plugins.module_utils.command import COMMON, Mountplan


def main():
    module = AnsibleModule(
        argument_spec=dict(
            dest=dict(type="path", required=True),
            pid=dict(type="int"),
            namespace_file=dict(type="path"),
            name=dict(type="str"),
            strict=dict(type="bool", default=False),
            **COMMON,
        ),
        mutually_exclusive=[("pid", "namespace_file", "name")],
        required_one_of=[("pid", "namespace_file", "name")],
        add_file_common_args=True,
        supports_check_mode=True,
    )
    params = module.params
    if params["pid"] is not None:
        words = ["--pid", str(params["pid"])]
    elif params["namespace_file"] is not None:
        words = ["--ns", params["namespace_file"]]
    else:
        words = [params["name"]]
    _status, found = Mountplan(module).need(["capture"] + words)
    cautions = found["cautions"]
    if params["strict"] and cautions:
        module.fail_json(msg="\n".join(cautions), cautions=cautions)
    for one in cautions:
        module.warn(one)
    after, dest = found["spec"], params["dest"]
    before = None
    if os.path.exists(dest):
        with open(dest, "rb") as file:
            before = file.read().decode("utf-8", "replace")
    changed = before != after
    result = {"changed": changed, "dest": dest, "cautions": cautions}
    if module._diff:
        result["diff"] = {"before": before or "", "after": after, "before_header": dest, "after_header": dest}
    if changed and not module.check_mode:
        handle, path = tempfile.mkstemp(dir=module.tmpdir)
        with os.fdopen(handle, "wb") as file:
            file.write(after.encode("utf-8", "surrogateescape"))
        module.atomic_move(path, dest)
    if os.path.exists(dest):
        arguments = module.load_file_common_arguments(params)
        result["changed"] = module.set_fs_attributes_if_different(arguments, changed)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
