"""Frozen values, errors and the state machine. Standard library only; every other floor imports this one."""
