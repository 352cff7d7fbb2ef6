"""What is told beside the answer: options in other forms, arrivals, parameters, and where a kernel did otherwise."""

from __future__ import annotations

from mountplan.planner.compare.difference import Difference
from mountplan.planner.language.parameters import Setting
from mountplan.planner.render.aside_text import arrivals_text, notices_text
from mountplan.planner.render.kernel_comparison import KernelComparison, comparison_text
from mountplan.planner.render.preview import settings_lines


def test_an_option_in_another_form_is_told_with_both() -> None:
    assert "" == notices_text(())
    one = Difference("/a", "option size", "1m", "1024k\n", "mount[0]", "")
    assert [
        "Taken by the kernel, and shown in another form:",
        "  /a: option size: 1m, shown as 1024k\\n",
    ] == notices_text((one,)).splitlines()


def test_arrivals_are_counted_and_named() -> None:
    assert "" == arrivals_text(())
    one = Difference("/a/new", "mount", "no mount", "tmpfs on /a", "", "", namespace="left")
    assert ["Arrived since, by propagation: 1 mount", "  left:/a/new: tmpfs on /a"] == arrivals_text(
        (one,)
    ).splitlines()
    assert "propagation: 2 mounts\n" in arrivals_text((one, one))


def test_of_each_parameter_it_is_told_where_its_value_is_from() -> None:
    lines = settings_lines([Setting("home", "/root", "HOME"), Setting("size", "1m"), Setting("q", 'a"b', given=True)])
    assert [
        ['home = "/root"', "from the environment: HOME"],
        ['size = "1m"', "by default"],
        ['q = "a\\"b"', "as given"],
    ] == [[line.split("  ")[0], line.split("  ")[-1].strip()] for line in lines]


def test_a_comparison_with_the_kernel_tells_what_differs_or_what_was_run() -> None:
    assert ["The kernel does otherwise:", "  a", "  b"] == comparison_text(KernelComparison(("a", "b"), 2)).splitlines()
    same = "The kernel did the same, command by command"
    assert [f"{same} (1 program run with the words of the script)."] == comparison_text(
        KernelComparison((), 1)
    ).splitlines()
    assert [
        f"{same} (0 programs run with the words of the script).",
        "Not run, in one place at least: mount, umount; the calls that stand for it were made instead.",
        "The programs themselves were not run: there are none.",
    ] == comparison_text(KernelComparison((), 0, ("mount", "umount"), "there are none")).splitlines()
