"""The kernel's interface: numbers, calls, what an errno means, and the verbs made of them. Front door: kernel.py."""
