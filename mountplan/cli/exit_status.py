"""Exit statuses: those that no error of mountplan's own has (others: planner/errors.py), and the table of all."""

BUG = 70  # EX_SOFTWARE of sysexits.h

# For `mountplan --help` and README, which a test holds against this.
TABLE = (
    ("0", "done"),
    ("1", "a difference, or a refused plan or change"),
    ("2", "wrong usage, a wrong spec, or a name or file that is not there"),
    ("3", "the kernel said no; nothing is left of what was begun"),
    ("70", "a bug in mountplan"),
    ("126", "run, enter: the command cannot be executed"),
    ("127", "run, enter: there is no such command"),
    ("130", "interrupted"),
    ("141", "no process reads the output any more"),
)
