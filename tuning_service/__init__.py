"""A multitenant service that tunes deep networks on a Spark cluster.

Importing this package imports nothing else: executors import it from a zip with nothing there but Python.
"""

__version__ = "0.1.0"
