"""Live namespaces -> mount tables, and facts about this machine. Front door: observe.py (observe)."""
