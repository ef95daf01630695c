"""The fault suite: whatever dies, sleeps or cannot be reached, nothing is lost. `make test-faults` runs it."""
