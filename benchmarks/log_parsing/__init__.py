"""How fast logs are read, and in how much memory, beside what peers do with each line."""
