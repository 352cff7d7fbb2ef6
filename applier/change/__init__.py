"""Changes of trees that stand, carried out by a visiting process. Front door: carry_out() in visit.py."""
