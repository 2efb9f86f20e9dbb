#!/usr/bin/env bash
# A real SLURM cluster of one node for the tests, on this machine: Debian's munge, slurmctld and slurmd as root. One partition
# with all cores, and two GPU slots whose device files are no GPUs: SLURM sets CUDA_VISIBLE_DEVICES to 0 or 1.
# No accounting database.
#
#   tests/slurm/cluster.sh possible  says why it cannot be started here, and fails then
#   tests/slurm/cluster.sh start     install what is missing (apt-get), write /etc/slurm, start, wait until the node is idle
#   tests/slurm/cluster.sh stop      end the daemons that this script started, remove its configuration
#   tests/slurm/cluster.sh status    sinfo and squeue
set -euo pipefail
dir=${SLURM_TEST_DIR:-/tmp/one_node_slurm}
node=$(hostname -s)
name=bacontests

conf=/etc/slurm/slurm.conf

possible() {
  if [[ $(id -u) != 0 ]]; then
    echo "starting a cluster needs root"
  elif [[ -e $conf ]] && ! grep -qx "ClusterName=$name" "$conf"; then
    echo "$conf is that of another cluster, which these tests must not touch"
  elif ! command -v slurmctld >/dev/null && ! command -v apt-get >/dev/null; then
    echo "SLURM is not installed, and there is no apt-get to install it"
  else
    return 0
  fi
  return 1
}

start() {
  possible >&2
  if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge >/dev/null
  fi
  if timeout 10 sinfo -h -t idle,mix,alloc -o %n 2>/dev/null | grep -q .; then
    echo "already running"
    return
  fi
  mkdir -p "$dir"/{state,spool,log} /run/munge /etc/slurm
  for i in 0 1; do [[ -e $dir/gpu$i ]] || mknod "$dir/gpu$i" c 1 3; done
  cat >"$conf" <<CONF
ClusterName=$name
SlurmctldHost=$node(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=600
ReturnToService=2
KillWait=10
OverTimeLimit=0
GresTypes=gpu
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmdSpoolDir=$dir/spool
StateSaveLocation=$dir/state
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(($(awk '/MemTotal/{print $2}' /proc/meminfo) / 1024 * 9 / 10)) Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
  printf 'NodeName=%s Name=gpu File=%s/gpu[0-1]\n' "$node" "$dir" >/etc/slurm/gres.conf
  chown munge:munge /run/munge
  munge -n >/dev/null 2>&1 || su munge -s /bin/bash -c "/usr/sbin/munged --force --pid-file=/run/munge/munged.pid" >/dev/null 2>&1
  slurmctld </dev/null >/dev/null 2>&1
  slurmd </dev/null >/dev/null 2>&1
  for _ in $(seq 60); do
    sinfo -h -t idle -o %n 2>/dev/null | grep -q . && { sinfo; return; }
    sleep 0.5
  done
  echo "the node did not become idle; see $dir/log" >&2
  return 1
}

stop() {
  local daemon pid
  for daemon in slurmd slurmctld; do
    pid=$(cat "$dir/$daemon.pid" 2>/dev/null || true)
    [[ -n $pid ]] && kill "$pid" 2>/dev/null || true
  done
  # Without it SLURM's commands fail at once; with it, each Snakemake call asks the absent controller for ten seconds.
  if grep -qsx "ClusterName=$name" "$conf"; then rm -f "$conf" /etc/slurm/gres.conf; fi
}

case ${1:-} in
  possible) possible ;;
  start) start ;;
  stop) stop ;;
  status) sinfo; squeue ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
