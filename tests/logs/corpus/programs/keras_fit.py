"""model.fit and model.evaluate. Arguments: verbose, then "val" to validate."""

import sys

import keras
import numpy as np

verbose, validates = int(sys.argv[1]), "val" in sys.argv[2:]
rng = np.random.default_rng(0)
x = rng.normal(size=(96, 8)).astype("float32")
y = (x[:, 0] > 0).astype("int64")
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"])
validation = (x[:32], y[:32]) if validates else None
model.fit(x, y, batch_size=32, epochs=2, verbose=verbose, validation_data=validation)
model.evaluate(x[:32], y[:32], verbose=verbose)
