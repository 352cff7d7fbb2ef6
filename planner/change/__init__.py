"""How a tree that stands becomes what a plan says, under running processes. Front door: plan_change.plan_change()."""
