"""Live namespaces -> a spec that builds them again: the road of the planner backwards. Tables and facts in, text out.

mounts.py finds the words, with groups.py for sharing, widest.py for what the host has, and regiven.py for options;
writing.py writes them down.
"""
