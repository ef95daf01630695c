"""One module for each library that is compared with; `SEARCHER` is its wrapper. None imports the service."""
