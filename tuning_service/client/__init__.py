"""A thin client of the REST interface, for notebooks and for the command line."""
