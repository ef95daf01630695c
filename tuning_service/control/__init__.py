"""The driver of jobs: leases, decisions, launches."""
