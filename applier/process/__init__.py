"""How a process of ours gets into its namespaces and turns into a command there. Front door: command.py (become)."""
