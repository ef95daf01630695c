"""Measurements of the service, each a package with one command; see README.md."""
