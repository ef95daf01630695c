"""A no-op with seven parameters: `python seven.py --a 0.3 … --g 0.9` prints one loss and ends."""

import sys

values = [float(value) for value in sys.argv[2::2]]
print(f"loss={sum((place / 8 - value) ** 2 for place, value in enumerate(values, 1))}")
