"""Spec + facts about the host -> Topology: what every name means. Front door: resolve.py (resolve)."""
