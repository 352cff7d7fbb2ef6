"""What the programs that a script of mounts runs do: words -> calls, output, exit status.

Front doors: script_commands.py (mount, umount), actions.py (Stage), which carries the calls out in a World.
"""
