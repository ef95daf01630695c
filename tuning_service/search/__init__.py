"""Search algorithms, each a short module over a library, and the child processes that they run in."""
