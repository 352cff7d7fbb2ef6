"""The tests. A package, so that they can share helpers: `from tests.hosts import run_in_host`."""
