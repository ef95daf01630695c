"""How train.npz, 1437 images, and test.npz, 360 more, were made from scikit-learn's digits; writes them anew."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

digits = load_digits()
images = digits.images.astype(np.uint8)[:, None]  # one channel of 8 x 8 pixels, 0 to 16
parts = train_test_split(images, digits.target, test_size=360, random_state=0, stratify=digits.target)
folder = Path(__file__).parent
np.savez_compressed(folder / "train.npz", data=parts[0], label=parts[2])
np.savez_compressed(folder / "test.npz", data=parts[1], label=parts[3])
print(f"train.npz and test.npz are in {folder}")
