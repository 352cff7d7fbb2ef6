"""Places in a spec, and everything mountplan raises on purpose.

    MountplanError
    |-- SpecError           2  the spec is wrong; carries every mistake that was found
    |-- PlanFileError       2  a plan file is damaged, altered or of another format
    |-- TableError          2  a mount table cannot be read (3 if the kernel, a limit or a filter refuses it)
    |-- SubjectError        2  an argument names nothing to look at, or several things
    |-- PlanRefused         1  a spec or a plan file is well written, but cannot come out as written
    |-- NotAllowed          3  the kernel would refuse some of it to this user; nothing was carried out
    |-- InUse               3  what a plan needs for itself is in use; nothing was carried out
    |-- NamespaceRefused    3  the kernel refused a process or a namespace to build in
    |-- StepRefused         3  the kernel refused a step
    |-- VerificationFailed  3  every step was carried out, but what stands there differs
    |-- CommandNotStarted      the tree stands, but the command does not run in it (126, 127 as in a shell, else 3)
    |-- NotKept             2  no namespaces are kept under that name
    |-- ChangeRefused       1  what stands cannot be changed into that, or not without a word
    |-- ChangeUnfinished    1  a change of a tree that stands was interrupted, and neither finished nor taken back (3 if
    |                          the kernel refused it at this moment, 2 if there is none)
    |-- NameTaken           1  what is kept under that name is something else
    `-- KeepRefused         3  namespaces cannot be kept, or got at, where they are kept (2 for a bad name)

The number is the exit status with which a command ends that raises it. Only the command line prints them, or
exits. All are public names of mountplan.api.
"""

from __future__ import annotations

from mountplan.planner.record import NamedTuple


class SpecRef(NamedTuple):
    """A place in a spec: the file as the user named it, the key path (`mount[3].bind`, counted from 0), the line.

    `line` is counted from 1; 0 when it is not known, as for a spec that was built in Python.
    """

    file: str
    key: str
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}" if self.key else place


class Aftermath(NamedTuple):
    """What is known once a build that was refused has been let go.

    `changes` is how the host's mount table differs from what it was before, a line each: by this process or by another
    one. None if it could not be read. `left` are the steps that may have left something on the host, and `holder` is
    the process that still has what was built, as the kernel does not let it end; 0 if there is none.
    """

    changes: tuple[str, ...] | None
    left: tuple[str, ...]
    holder: int


class Mistake(NamedTuple):
    """One thing that is wrong with a spec: where, what, and how to mend it."""

    ref: SpecRef
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.ref}: {self.what}" + (f"\n  remedy: {self.remedy}" if self.remedy else "")


class MountplanError(Exception):
    """The root of the family: `except MountplanError` catches what mountplan itself has to say, and no bug."""

    exit_status = 3
    code = "error"


class _OfMistakes(Exception):
    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(map(str, mistakes)))


class _WithRemedy(Exception):
    def __init__(self, what: str, remedy: str = "", exit_status: int | None = None) -> None:
        self.what = what
        self.remedy = remedy
        if exit_status is not None:
            self.exit_status = exit_status
        super().__init__(what + (f"\n  remedy: {remedy}" if remedy else ""))


class SpecError(_OfMistakes, MountplanError):
    """The spec is wrong. `mistakes` holds all that was found, in the order of the file; there is at least one.

    Raised by load and the constructors (what is written), and by plan and all that plans (what it means here), before
    anything is touched; of a script, by `mountplan simulate`.
    """

    exit_status = 2
    code = "spec"

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        if not mistakes:
            raise ValueError("a SpecError has at least one mistake: without, it says nothing")
        super().__init__(mistakes)


class PlanFileError(MountplanError):
    """A plan file cannot be used; says why. Raised by load_plan, and by whatever reads a plan that was saved."""

    exit_status = 2
    code = "plan-file"


class TableError(MountplanError):
    """A mount table cannot be read; says which line of it, or of which process, and why.

    Raised by capture, diff, verify and whatever else looks at live namespaces and mountinfo files. The exit status is 3
    if the kernel, a limit or a filter refuses it.
    """

    code = "table"

    def __init__(self, text: str, exit_status: int = 2) -> None:
        self.exit_status = exit_status
        super().__init__(text)

    def about(self, label: str) -> TableError:
        """The same, of what is called `label`."""
        return TableError(f"{label}: {self}", self.exit_status)


class SubjectError(_WithRemedy, MountplanError):
    """An argument names something to look at that is not there, or that could be several things.

    Raised by diff, verify, explain, attach, change, and by a Tree for a namespace or a plan that it has not.
    """

    exit_status = 2
    code = "subject"


class PlanRefused(MountplanError):
    """The spec contradicts itself or would come out differently, or a plan file does what no plan may do.

    `reasons` are sentences that name the mounts, or the file and the step. Raised by plan (no order fulfils all that
    the spec asks for, or the kernel lacks what it takes), load_plan, foresee (the model comes to something else, or to
    too many mounts) and check_mount_count; nothing was touched.
    """

    exit_status = 1
    code = "plan-refused"

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self.reasons = reasons
        super().__init__("\n".join(reasons))


class NotAllowed(_OfMistakes, MountplanError):
    """The kernel would refuse it to this user, or in a user namespace. `mistakes` holds all that was found by trying,
    in the order of the lines.

    Raised by try_out, and by apply, build, build_and_forget and run before their first step. Nothing was carried out.
    """

    exit_status = 3
    code = "not-allowed"


class InUse(_OfMistakes, MountplanError):
    """An image, a block device or an overlay's directory is in use, in a way that does not go with the plan.

    `mistakes` says of each what has it, in the order of the steps. Raised by apply, build, build_and_forget and run
    before their first step; in_use() returns the same. Nothing was carried out.
    """

    exit_status = 3
    code = "in-use"


class StepRefused(MountplanError):
    """The kernel refused a step. What was built up to it is let go and is never handed out; `aftermath` is what was
    then found out about the host, None if it was not looked at.

    Raised by apply, build, build_and_forget, run and change. `number` counts from 1; `syscall` is "" where no single
    call is to blame; `errno` is the kernel's; `log` is what the filesystem said (fsopen(2)).
    """

    exit_status = 3
    code = "step-refused"
    aftermath: Aftermath | None = None

    def __init__(
        self,
        *,
        number: int,
        step: str,
        origin: SpecRef,
        syscall: str,
        errno: int,
        meaning: str,
        remedy: str,
        log: tuple[str, ...] = (),
    ) -> None:
        self.number = number
        self.step = step
        self.origin = origin
        self.syscall = syscall
        self.errno = errno
        self.meaning = meaning
        self.remedy = remedy
        self.log = log
        lines = [f"{origin}: step {number}, {step}: {syscall}{syscall and ': '}{meaning}"]
        lines += [f"  the filesystem says: {line}" for line in log]
        if remedy:
            lines.append(f"  remedy: {remedy}")
        super().__init__("\n".join(lines))


class VerificationFailed(MountplanError):
    """Every step was carried out, but what stands there is not what the spec says. It is let go, and never handed out.

    Raised by apply, build, build_and_forget, run and change. `differences` are planner.compare.difference.Difference.
    """

    exit_status = 3
    code = "verification-failed"

    def __init__(self, differences: tuple[NamedTuple, ...]) -> None:
        self.differences = differences
        super().__init__("\n".join(map(str, differences)))


class NamespaceRefused(MountplanError):
    """The kernel refused what is needed before the first step: a process, a pipe, a namespace, an id-mapping.

    Raised by whatever builds or tries (apply, build, build_and_forget, run, try_out), by enter for what is kept, and by
    what looks into namespaces or changes them, if a process that does so is killed.
    """

    exit_status = 3
    code = "namespace-refused"

    def __init__(self, what: str, meaning: str, remedy: str = "") -> None:
        self.what = what
        self.meaning = meaning
        self.remedy = remedy
        super().__init__(f"{what}: {meaning}" + (f"\n  remedy: {remedy}" if remedy else ""))


class CommandNotStarted(_WithRemedy, MountplanError):
    """The command did not start. The exit status is a shell's: 127 not found, 126 not executable; else 3, and 2 for
    settings in [run] that cannot work. Raised by run, execute, enter, Tree.run and Tree.popen.

    `number` is the errno with which execve(2) failed, 0 if it did not come to that.
    """

    code = "command-not-started"

    def __init__(self, what: str, remedy: str = "", exit_status: int = 3, number: int = 0) -> None:
        self.number = number
        super().__init__(what, remedy, exit_status)


class NotKept(_WithRemedy, MountplanError):
    """No namespaces are kept under a name, or none of that name are among them.

    Raised by whatever takes a kept name: look_up, attach, enter, remove, capture, diff, verify, change.
    """

    exit_status = 2
    code = "not-kept"


class NameTaken(_WithRemedy, MountplanError):
    """What is kept under a name is from another spec, no longer what it was, or was kept by another process meanwhile.

    Raised by apply. `differences` are planner.compare.difference.Difference: of what stands from what the plan says.
    """

    exit_status = 1
    code = "name-taken"

    def __init__(self, what: str, remedy: str = "", differences: tuple[NamedTuple, ...] = ()) -> None:
        self.differences = differences
        super().__init__(what, remedy)


class ChangeRefused(MountplanError):
    """What stands cannot be changed into what a plan says, or only if the user allows it, or is another thing by now.

    Raised by change and finish, before anything is touched. `reasons` are sentences, each with its remedy.
    """

    exit_status = 1
    code = "change-refused"

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self.reasons = reasons
        super().__init__("\n".join(f"cannot be changed: {reason}" for reason in reasons))


class ChangeUnfinished(_WithRemedy, MountplanError):
    """A change of a tree that stands was interrupted, and neither finished nor taken back.

    Raised by change, and by whatever plans a change, if it finds one, or if it could not take back its own.
    """

    exit_status = 1
    code = "change-unfinished"


class KeepRefused(_WithRemedy, MountplanError):
    """The place where namespaces are kept cannot be used, or the kernel does not let them be kept or reached there.

    Raised by apply, kept, look_up, attach, enter and remove.
    """

    code = "keep-refused"
