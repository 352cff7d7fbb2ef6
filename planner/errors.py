"""Places in a spec, and everything mountplan raises on purpose.

    MountplanError
    |-- SpecError          the spec is wrong; carries every mistake that was found       (exit status 2)
    |-- PlanFileError      a plan.json is damaged, altered or of another format          (exit status 2)
    |-- TableError         a mount table cannot be read                                  (exit status 2)
    |-- SubjectError       an argument names nothing, or several things                     (exit status 2)
    |-- PlanRefused        a spec or a plan file is well written, but cannot come out as written (exit status 1)
    |-- NotAllowed         the kernel would say no to some of it; nothing was carried out (exit status 3)
    |-- InUse              others have what a plan needs for itself; nothing was touched (exit status 3)
    |-- StepRefused        the kernel said no to a step                                  (exit status 3)
    |-- VerificationFailed         everything was carried out, but what stands there is different (exit status 3)
    |-- NamespaceRefused   the kernel would not give a process or a namespace to build in  (exit status 3)
    |-- CommandNotStarted  the namespace stands, but the command cannot run in it (exit status 126, 127, else 3)
    |-- NotKept            no namespaces are kept under that name                     (exit status 2)
    |-- NameTaken          something else is kept under that name                     (exit status 1)
    `-- KeepRefused        namespaces cannot be kept, or got at, where they are kept  (exit status 3, a bad name 2)

Only the command line prints them or turns them into an exit status.
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


class SpecError(MountplanError):
    """The spec is wrong. `mistakes` holds all that was found, in the order of the file; there is at least one."""

    exit_status = 2
    code = "spec"

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        if not mistakes:
            raise ValueError("a SpecError has at least one mistake: without, it says nothing")
        self.mistakes = mistakes
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


class PlanFileError(MountplanError):
    """A plan file cannot be used; says why."""

    exit_status = 2
    code = "plan-file"


class TableError(MountplanError):
    """A mount table cannot be read; says which line of it and why."""

    exit_status = 2
    code = "table"


class SubjectError(MountplanError):
    """A command line names something to look at that is not there, or that could be several things."""

    exit_status = 2
    code = "subject"

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}\n  remedy: {remedy}")


class PlanRefused(MountplanError):
    """The spec contradicts itself or would come out differently, or a plan file does what no plan may do.

    `reasons` are sentences that name the mounts, or the file and the step.
    """

    exit_status = 1
    code = "plan-refused"

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self.reasons = reasons
        super().__init__("\n".join(reasons))


class NotAllowed(MountplanError):
    """The kernel would not have it: not from this user, or not in a user namespace. `mistakes` holds all that was
    found by trying, in the order of the steps. Nothing was carried out.
    """

    exit_status = 3
    code = "not-allowed"

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


class InUse(MountplanError):
    """An image, a block device or an overlay's directory is in use, in a way that does not go with the plan.

    `mistakes` says of each who has it, in the order of the steps. Nothing was carried out.
    """

    exit_status = 3
    code = "in-use"

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


class StepRefused(MountplanError):
    """The kernel refused a step. What was built up to it is let go, and nobody gets it; `aftermath` is what was then
    found out about the host, None if nobody has looked.
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
    """Every step was carried out, but the kernel's mount table is not what the spec says."""

    exit_status = 3
    code = "not-granted"

    def __init__(self, differences: tuple[NamedTuple, ...]) -> None:
        self.differences = differences  # planner.difference.Difference
        super().__init__("\n".join(map(str, differences)))


class NamespaceRefused(MountplanError):
    """The kernel refused what is needed before the first step: a process, a pipe, a namespace, an id-mapping."""

    exit_status = 3
    code = "namespace-refused"

    def __init__(self, what: str, meaning: str, remedy: str = "") -> None:
        self.what = what
        self.meaning = meaning
        self.remedy = remedy
        super().__init__(f"{what}: {meaning}" + (f"\n  remedy: {remedy}" if remedy else ""))


class CommandNotStarted(MountplanError):
    """The command of `run` did not start. The exit status is a shell's: 127 not found, 126 not executable; else 3.

    `number` is the errno with which execve(2) failed, 0 if it did not come to that.
    """

    code = "command-not-started"

    def __init__(self, what: str, remedy: str = "", exit_status: int = 3, number: int = 0) -> None:
        self.what = what
        self.remedy = remedy
        self.exit_status = exit_status
        self.number = number
        super().__init__(what + (f"\n  remedy: {remedy}" if remedy else ""))


class NotKept(MountplanError):
    """No namespaces are kept under a name, or none of that name are among them."""

    exit_status = 2
    code = "not-kept"

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what + (f"\n  remedy: {remedy}" if remedy else ""))


class NameTaken(MountplanError):
    """What is kept under a name is from another spec, no longer what it was, or somebody else's work meanwhile."""

    exit_status = 1
    code = "name-taken"

    def __init__(self, what: str, remedy: str = "", differences: tuple[NamedTuple, ...] = ()) -> None:
        self.what = what
        self.remedy = remedy
        self.differences = differences  # planner.difference.Difference
        super().__init__(what + (f"\n  remedy: {remedy}" if remedy else ""))


class KeepRefused(MountplanError):
    """The place where namespaces are kept cannot be used, or the kernel would not have them kept there."""

    code = "keep-refused"

    def __init__(self, what: str, remedy: str = "", exit_status: int = 3) -> None:
        self.what = what
        self.remedy = remedy
        self.exit_status = exit_status
        super().__init__(what + (f"\n  remedy: {remedy}" if remedy else ""))
