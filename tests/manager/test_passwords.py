"""Passwords as they are hashed in use."""

import argon2

from tuning_service.manager import passwords


def test_a_password_matches_its_own_hash_alone():
    stored = passwords.hashed("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert passwords.matches(stored, "correct horse battery")
    assert not passwords.matches(stored, "correct horse batterz")
    # What unknown users are compared with costs the same, and never matches.
    assert argon2.extract_parameters(passwords._NOBODYS) == argon2.extract_parameters(stored)
    assert not passwords.matches(None, "correct horse battery")
