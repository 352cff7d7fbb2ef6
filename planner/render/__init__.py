"""Plans, tables, drift and errors -> text, JSON, DOT, Mermaid: the same text for the same values.

Front doors: preview.py (plan_text), why.py (why_text), problems.py (error_text, error_data).
"""
