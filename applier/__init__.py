"""The half of mountplan that talks to the kernel, and the only one: finished plans in, namespaces and tables out.

The rooms, from the bottom up: sys, probe, observe, process, build, run, keep, change.
"""
