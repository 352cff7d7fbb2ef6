"""Questions to the model: what a plan comes to, who receives what, what a script does.

Front doors: foresight.py (foresee), explain.py (Explainer), classic.py (classic_way), simulate.py (simulate).
"""
