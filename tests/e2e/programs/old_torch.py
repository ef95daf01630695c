"""Written for the older product: parameters from config.json, results into RESULT_DIR, no arguments beside its own."""

import argparse
import json
import os

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
args = parser.parse_args()

config = json.loads(open("config.json").read())
learning_rate = float(config.get("learning_rate", "0.01"))
width = int(config.get("width", 8))
batch = int(config.get("batch", 64))  # stands in the config.json of the program

torch.manual_seed(1)
x = torch.randn(256, 4)
y = (x.sum(1, keepdim=True) > 0).float()
model = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
loss_of = nn.BCEWithLogitsLoss()

results = []
for epoch in range(1, args.epochs + 1):
    for at in range(0, 192, batch):
        optimizer.zero_grad()
        loss = loss_of(model(x[at : at + batch]), y[at : at + batch])
        loss.backward()
        optimizer.step()
        print(f"batch {at}, loss: {loss.item():.3f}")
    with torch.no_grad():
        outputs = model(x[192:])
        results.append(
            {
                "steps": epoch,
                "loss": loss_of(outputs, y[192:]).item(),
                "accuracy": ((outputs > 0) == (y[192:] > 0.5)).float().mean().item(),
            }
        )

os.makedirs(os.path.join(os.environ["RESULT_DIR"], "model"), exist_ok=True)
torch.save(model.state_dict(), os.path.join(os.environ["RESULT_DIR"], "model", "saved.pt"))
with open(os.path.join(os.environ["RESULT_DIR"], "val_dict_list.json"), "w") as f:
    json.dump(results, f)
