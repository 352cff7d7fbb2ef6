# Copyright (c) mountplan developers
# SPDX-License-Identifier: MIT
"""The program mountplan on a managed host, and what it says."""

from __future__ import annotations

import json
import os

COMMON = {
    "executable": {"type": "path"},
    "rootless": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
}


class Mountplan:
    """Carries out commands of mountplan; `module` is an AnsibleModule with the arguments of COMMON."""

    def __init__(self, module):
        self.module = module
        wanted = module.params["executable"]
        if wanted and not os.access(wanted, os.X_OK):
            module.fail_json(msg="there is no program %s; name it with executable, or let the role install it" % wanted)
        self.program = wanted or module.get_bin_path("mountplan", required=True)

    def run(self, words, data=None):
        """Exit status, standard output and standard error. 0, 1 and 2 are told by mountplan, 3 is the kernel's."""
        environment = {"NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
        return self.module.run_command([self.program] + words, data=data, environ_update=environment)

    def ask(self, words, data=None):
        """Exit status, and the JSON document; what is none fails the module."""
        status, out, err = self.run(words + ["--json"], data)
        try:
            return status, json.loads(out)
        except ValueError:
            self.module.fail_json(msg=(err or out).strip() or "mountplan ended with %d" % status, rc=status)

    def need(self, words, data=None):
        """As ask(), where whatever is an error fails the module, in mountplan's own words."""
        status, found = self.ask(words, data)
        if isinstance(found, dict) and "error" in found:
            self.fail(found["error"])
        return status, found

    def fail(self, error):
        self.module.fail_json(msg=words_of(error), rc=error.get("exit_status"), error=error)

    def kept(self, name):
        """What `ls` says of a kept name; None if nothing is kept under it."""
        _status, found = self.need(["ls"])
        for one in found:
            if one["name"] == name:
                return one
        return None


def words_of(error):
    """An error of mountplan's as it tells it on a terminal."""
    mistakes = error.get("mistakes")
    if not mistakes:
        return _with_remedy(error.get("message", ""), error.get("remedy"))
    lines = []
    for one in mistakes:
        place = "%s:%s" % (one["file"], one["line"]) if one.get("line") else one["file"]
        told = ": ".join(word for word in (place, one.get("key"), one["what"]) if word)
        lines.append(_with_remedy(told, one.get("remedy")))
    return "\n".join(lines)


def _with_remedy(text, remedy):
    return "%s\n  remedy: %s" % (text, remedy) if remedy else text
