"""Search quality: which searcher finds better configurations with the same number of trainings."""
