#!/bin/bash
#SBATCH --job-name=evalkit
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --time=12:00:00
#SBATCH --requeue
#
# A suite on all nodes of a Slurm allocation, by Ray:
#
#     sbatch docs/cluster/slurm.sh SUITE OUT [OPTIONS OF evalkit run]
#
# OUT lies where all of a team's jobs see it. A job that ran out of time, or lost its first node, goes on where it was
# when it is submitted again with the same OUT; one that lost another node goes on by itself. Activate the environment
# that evalkit is in before sbatch, or here.
set -euo pipefail

suite=${1:?usage: sbatch slurm.sh SUITE OUT [OPTIONS]}
out=${2:?usage: sbatch slurm.sh SUITE OUT [OPTIONS]}
shift 2

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}                               # Slurm runs this script there
ip=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1; exit}')
address=$ip:$((20000 + SLURM_JOB_ID % 10000))  # of its own, so that jobs which share a node do not meet

export RAY_worker_niceness=0                   # Ray would let everything else on a node go first
export RAY_USAGE_STATS_ENABLED=0
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')  # nobody else on the network may run code here
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address="$ip" --port="${address##*:}" --include-dashboard=false --block &
until ray status --address "$address" >/dev/null 2>&1; do
    ((SECONDS < 300)) || { echo "Ray's head at $address did not come up in 300 s" >&2; exit 1; }
    sleep 1
done
others=$((${#nodes[@]} - 1))
if ((others > 0)); then
    srun --overlap --nodes="$others" --ntasks="$others" --exclude="$head" ray start --address="$address" --block &
fi
# The suite begins with the nodes that are there after five minutes, if not all.
python - "$address" "${#nodes[@]}" <<'PYTHON'
import sys, time, ray
ray.init(address=sys.argv[1], log_to_driver=False)
nodes, until = int(sys.argv[2]), time.monotonic() + 300
while (up := sum(node["Alive"] for node in ray.nodes())) < nodes and time.monotonic() < until:
    time.sleep(1)
print(f"{up} of {nodes} nodes are there", file=sys.stderr)
PYTHON

evalkit run "$suite" --out "$out" --engine "ray@$address" "$@"
