"""A loop with Python's logging, a bar of tqdm per epoch, and a label for what was measured."""

import logging
import sys

from digits import loader, step, test
from tqdm import tqdm

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("trainer")
for epoch in range(2):
    bar = tqdm(loader, desc=f"Epoch {epoch}", file=sys.stdout)
    for batch in bar:
        bar.set_postfix(loss=step(batch))
    loss, right = test()
    log.info("[val] loss: %.4f, accuracy: %.3f", loss, right / 96)
