"""What it takes to make a tree that stands into what a plan says, under running processes. Front door: plan_change() in
plan_change.py.
"""
