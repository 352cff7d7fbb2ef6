"""Topology -> Graph -> Plan: the steps, their order and its reasons, the plan file, what will stand there.

Front doors: schedule.py (make_plan), planfile.py (load_plan, dump_plan), predict.py (predict).
"""
