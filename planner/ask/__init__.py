"""Questions to the model: what a plan comes to, who receives what, which script of mount(8) comes to the same.

Front doors: foresight.py (foresee), explain.py (Explainer), classic.py (classic_way), mount_commands.py (mount_script).
"""
