"""Questions to the model: what a plan comes to, who receives what, what a script does. Front door: foresight.py."""
