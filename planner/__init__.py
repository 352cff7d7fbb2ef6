"""The pure half of mountplan: values in, values out; no file, clock, environment or kernel is touched here.

The rooms along the road: language, resolve, plan, compare; model, ask, capture and render look at what goes along it,
shell and commands at scripts of mounts, change at trees that stand, foreign at what
other programs have instead of specs.
"""
