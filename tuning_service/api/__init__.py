"""The REST interface. Calls the manager floor with a principal, and nothing below it."""
