#!/bin/sh
# Tells Spark which GPUs a worker or executor has: {"name": "gpu", "addresses": ["0", "1"]}
# Spark runs it when it starts a worker (standalone) or an executor (YARN, Kubernetes).
set -eu
listed=$(nvidia-smi --query-gpu=index --format=csv,noheader)
addresses=$(printf '%s\n' "$listed" | sed 's/[^0-9]//g; /^$/d; s/.*/"&"/' | paste -s -d , -)
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"
