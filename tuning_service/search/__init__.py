"""Search algorithms, each a short module over a library, and the child processes that they run in.

Importing this package registers the built-in algorithms (see `base.algorithms`). Their libraries are loaded when an
algorithm is first asked, so the import is cheap.
"""

from tuning_service.search import auto, bayesian, cmaes, evolution, grid, random_search, sobol, tpe

__all__ = ["auto", "bayesian", "cmaes", "evolution", "grid", "random_search", "sobol", "tpe"]
