"""Lightning's Trainer: fit, then test. Argument: "tqdm" for that bar, else Rich's."""

import sys

import lightning
from digits import loader
from torch import nn, optim
from torch.nn.functional import cross_entropy


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 2)

    def training_step(self, batch, index):
        loss = cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        output = self.net(batch[0])
        self.log("val_loss", cross_entropy(output, batch[1]), prog_bar=True)
        self.log("val_acc", (output.argmax(1) == batch[1]).float().mean(), prog_bar=True)

    def test_step(self, batch, index):
        self.log("test_loss", cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return optim.SGD(self.parameters(), 0.1)


callbacks = [lightning.pytorch.callbacks.TQDMProgressBar()] if "tqdm" in sys.argv else []
trainer = lightning.Trainer(
    max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=callbacks
)
model = Model()
trainer.fit(model, loader, loader)
trainer.test(model, loader)
