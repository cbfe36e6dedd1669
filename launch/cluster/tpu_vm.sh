#!/usr/bin/env bash
# Trains on a TPU VM slice that exists already, through gcloud's ssh.
#
#   launch/cluster/tpu_vm.sh NAME ZONE CONFIG WORKDIR [flag ...]
#   launch/cluster/tpu_vm.sh v5e-64 us-west4-a configs/lacy/olmo_wiki_pod.py \
#     /mnt/shared/runs/olmo --config.run.seed=1
#
# Copies the committed tree to every host, installs it with the TPU runtime and
# starts one process a host; they find each other by themselves (--distributed).
# WORKDIR and $SOCRATIC_DATA must be on a file system that all hosts mount: run
# the same line again after a preemption (the processes end with status 75) and
# the run goes on where it was saved.
# $PYTHON names the hosts' Python >= 3.11 (default python3). The processes
# outlive this shell; the last lines say how to follow and how to stop them.
set -euo pipefail

if (($# < 4)); then
  sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0" >&2
  exit 2
fi
name=$1 zone=$2 config=$3 workdir=$4
shift 4
python=${PYTHON:-python3}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
git rev-parse --verify --quiet HEAD > /dev/null || {
  echo "$0 must be in a git clone, whose tree it copies" >&2; exit 2; }
archive=$(mktemp --suffix=.tar.gz)
trap 'rm -f "$archive"' EXIT
git archive --format=tar.gz --output="$archive" HEAD

on_all() {
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
    --command="$1"
}

gcloud compute tpus tpu-vm scp "$archive" "$name:socratic.tar.gz" \
  --zone="$zone" --worker=all

on_all "set -e
  mkdir -p socratic && tar xzf socratic.tar.gz -C socratic && cd socratic
  if test -e train.pid && kill -0 \$(cat train.pid) 2> /dev/null; then
    echo 'a run is going on here already; stop it first' >&2; exit 2
  fi
  $python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo 'Python >= 3.11 was expected as $python; set PYTHON' >&2; exit 2; }
  test -e .venv || $python -m venv .venv
  .venv/bin/pip install --quiet -e '.[tpu,annotate]' -c constraints.txt"

# Each word is quoted for the remote shell, so a flag may hold spaces.
command=$(printf '%q ' .venv/bin/python -m launch.train --distributed \
  --config="$config" --workdir="$workdir" "$@")
data=$(printf '%q' "${SOCRATIC_DATA:-}")
on_all "set -e; cd socratic
  ${SOCRATIC_DATA:+export SOCRATIC_DATA=$data}
  nohup $command > train.log 2>&1 < /dev/null &
  echo \$! > train.pid"

cat <<END
follow: gcloud compute tpus tpu-vm ssh $name --zone=$zone --worker=0 \\
          --command='tail -f socratic/train.log'
stop:   gcloud compute tpus tpu-vm ssh $name --zone=$zone --worker=all \\
          --command='kill -TERM \$(cat socratic/train.pid)'   # saves first
END
