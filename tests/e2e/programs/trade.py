"""Two aims that pull apart, a latency, and a figure on the side; prints nothing of the latency when told so."""

import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--silent-below", type=float, default=-1.0)
chosen = parser.parse_args()
x = chosen.x
for epoch in range(3):
    print(f"Epoch {epoch} Val Loss: {(1 - x) ** 2 + 1 / (1 + epoch)}, model_mb={10 * x + epoch}, extra={epoch}")
if x >= chosen.silent_below:
    print(f"LATENCY-MS={40 * x}")
