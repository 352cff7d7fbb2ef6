"""How many examples of a generated test tell anything: one that passes when all are refused proves nothing."""

from __future__ import annotations


class Share:
    def __init__(self) -> None:
        self.examples = 0
        self.good = 0

    def count(self, good: bool) -> bool:
        """Gives back what it is given."""
        self.examples += 1
        self.good += good
        return good

    def must_be(self, least: float) -> None:
        """To be asked when all examples were tried. `least` is measured, with margin for other examples."""
        assert self.good >= least * self.examples > 0, f"only {self.good} of {self.examples} examples tell anything"
