#!/usr/bin/env bash
#SBATCH --job-name=evonas
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@90
#SBATCH --open-mode=append
#
# EvoNAS on Slurm: one Ray node a machine, and the search on the first.
#
# How to
#  1. Install EvoNAS where every machine sees it:  python3.11 -m venv ~/evonas && ~/evonas/bin/pip install evonas
#  2. Choose machines, cores and time above.
#  3. Search:                sbatch slurm.sh ~/runs/digits digits
#  4. Another problem:       sbatch slurm.sh ~/runs/mine ~/my_problem.py:MyProblem --set data=/scratch/leaves
#  5. Look on:               ~/evonas/bin/evonas status ~/runs/digits
#  6. Ninety seconds before its time is up the search stops by itself.
#  7. Go on, after that or after a crash: the same sbatch line again.
#  8. Stop early:            scancel --batch --signal=TERM JOB
#  9. GPUs: add #SBATCH --gpus-per-task=1 above, and --gpus-per-evaluation 1 in step 3.
# 10. What Ray says is in ray.log in the run's directory.
set -euo pipefail

run=$1
shift
PATH=${EVONAS_BIN:-$HOME/evonas/bin}:$PATH
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export PATH RAY_AUTH_TOKEN RAY_AUTH_MODE=token

# Jobs that share a machine must not share a port or a folder.
port=$((20000 + SLURM_JOB_ID % 10000))
address=$(hostname --ip-address | cut -d ' ' -f 1):$port
options="--num-cpus=$SLURM_CPUS_PER_TASK --disable-usage-stats --block"

srun --kill-on-bad-exit=0 bash -c "
  if [ \$SLURM_NODEID = 0 ]; then
    exec ray start --head --node-ip-address=${address%:*} --port=$port --include-dashboard=false \
      --temp-dir=/tmp/ray-$SLURM_JOB_ID $options
  fi
  for attempt in 1 2 3 4 5; do
    sleep 10
    ray start --address=$address $options && break
  done
" > "ray-$SLURM_JOB_ID.log" 2>&1 &
cluster=$!

for _ in $(seq 60); do
  sleep 2
  ray health-check --address "$address" > /dev/null 2>&1 && break
done

if [ -e "$run/journal.sqlite" ]; then
  evonas resume "$run" --address "$address" &
else
  evonas search "$@" --runner ray --address "$address" --out "$run" &
fi
search=$!
trap 'kill -TERM $search' TERM
code=0
wait $search || code=$?
if kill -0 $search 2> /dev/null; then # the signal has ended the waiting, not the search
  code=0
  wait $search || code=$?
fi
kill $cluster
wait $cluster || true
srun --kill-on-bad-exit=0 rm -rf "/tmp/ray-$SLURM_JOB_ID" || true
exit $code
