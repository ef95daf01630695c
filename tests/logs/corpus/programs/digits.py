"""A small network on made-up data, for the programs beside this."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(96, 8)
y = (x[:, 0] > 0).long()
loader = DataLoader(TensorDataset(x, y), 32)
model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), 0.1)


def step(batch, wrapped=model):
    """The loss of one step of training."""
    optimizer.zero_grad()
    loss = cross_entropy(wrapped(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss.item()


def test():
    """Loss and number of right answers over all data."""
    with torch.no_grad():
        output = model(x)
        return cross_entropy(output, y).item(), int((output.argmax(1) == y).sum())
