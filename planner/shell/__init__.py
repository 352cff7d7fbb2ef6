"""A shell script carried out in the model: text -> commands -> what they make and what stands there then.

Front door: simulate.py (simulate). Read shell_syntax.py first: a script as values.
"""
