"""Probes for the tests of this floor."""

from tests.compute.probes import probes

__all__ = ["probes"]
