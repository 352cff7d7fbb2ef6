"""Whatever stands, and whatever it is to become: it is changed into just that, or refused with a reason."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.hosts import InHost
from tests.kernel.live_fuzz import outcome

pytestmark = pytest.mark.needs_kernel("root", "set-group")

PAIRS = 40


def test_what_is_changed_equals_what_is_built_afresh(in_host: InHost) -> None:
    """Compared as `verify` does it, and by the second reader; a second change has nothing to do then."""

    def change_all() -> dict[str, int]:
        return dict(Counter(outcome(seed) for seed in range(PAIRS)))

    counts = in_host(change_all)
    tried = PAIRS - counts.pop("no pair", 0)
    refused = sum(number for kind, number in counts.items() if kind.startswith("refused"))
    assert tried > 0.8 * PAIRS, counts
    assert refused < 0.1 * tried, counts
    assert counts["changed"] > 0.7 * tried, counts
