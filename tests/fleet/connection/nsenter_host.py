"""An Ansible connection to a host that is a process with namespaces of its own on this machine."""

from __future__ import annotations

import shlex
import subprocess

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: nsenter_host
short_description: go into the namespaces of a process
description: For tests, where several hosts are processes on one machine.
author: mountplan developers
options:
  pid:
    description: The process.
    type: int
    required: true
    vars:
      - name: nsenter_pid
  wrapper:
    description: A command line before what is carried out there.
    type: str
    default: ""
    vars:
      - name: nsenter_wrapper
"""


class Connection(ConnectionBase):
    """Each command is a process that has entered the host's namespaces. No become plugin may ask for a password."""

    transport = "nsenter_host"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def close(self):
        self._connected = False

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        words = ["nsenter", "--target", str(self.get_option("pid")), "--mount", "--pid", "--net", "--uts", "--"]
        words += shlex.split(self.get_option("wrapper")) + ["/bin/sh", "-c", cmd]
        ended = subprocess.run(words, input=in_data or b"", capture_output=True, check=False)
        return ended.returncode, ended.stdout, ended.stderr

    def put_file(self, in_path, out_path):
        with open(in_path, "rb") as file:
            self.exec_command("cat > " + shlex.quote(out_path), in_data=file.read(), sudoable=False)

    def fetch_file(self, in_path, out_path):
        _, out, _ = self.exec_command("cat " + shlex.quote(in_path), sudoable=False)
        with open(out_path, "wb") as file:
            file.write(out)
