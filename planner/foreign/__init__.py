"""Configurations of other programs -> a spec: one module a format, text and facts in, a SpecDraft out.

Front door: spec_draft.py (SpecDraft, ImportFacts).
"""
