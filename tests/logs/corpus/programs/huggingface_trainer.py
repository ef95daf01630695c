"""The Trainer of Transformers, with an evaluation after each epoch."""

import tempfile

from digits import x, y
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 2)

    def forward(self, x, labels=None):
        output = self.net(x)
        return {"loss": cross_entropy(output, labels), "logits": output}


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}


data = [{"x": one, "labels": label} for one, label in zip(x, y, strict=True)]
arguments = TrainingArguments(
    output_dir=tempfile.mkdtemp(),
    num_train_epochs=2,
    per_device_train_batch_size=32,
    logging_steps=1,
    eval_strategy="epoch",
    save_strategy="no",
    report_to="none",
    use_cpu=True,
)
Trainer(model=Model(), args=arguments, train_dataset=data, eval_dataset=data[:32], compute_metrics=accuracy).train()
