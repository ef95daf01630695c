"""What trials tell when looked at together: pure functions over numbers."""
