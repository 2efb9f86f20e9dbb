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
dir=${SLURM_TEST_DIR:-/tmp/bacon-tests-slurm}
node=$(hostname -s)
name=bacontests

conf=/etc/slurm/slurm.conf

possible() {
  if [[ $(id -u) != 0 ]]; then
    echo "starting a cluster needs root"
  elif [[ -e $conf ]] && ! grep -qx "ClusterName=$name" "$conf"; then
    echo "$conf is that of another cluster, which these tests must not touch"
  elif ! installed && ! command -v apt-get >/dev/null; then
    echo "SLURM is not installed, and there is no apt-get to install it"
  else
    return 0
  fi
  return 1
}

installed() {
  local program
  for program in slurmctld slurmd munged sbatch; do command -v "$program" >/dev/null || return 1; done
}

start() {
  possible >&2
  if ! installed; then
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
  fi
  if alive && idle; then
    echo "already running"
    return
  fi
  # Whatever a killed run of the tests has left; an old controller's state names jobs and a cluster that are no more.
  stop
  rm -rf "$dir"
  mkdir -p "$dir"/{state,spool,log} /run/munge /etc/slurm
  configure
  munge_runs || start_munge
  slurmctld </dev/null >"$dir/log/start.log" 2>&1 || failed "slurmctld does not start"
  slurmd </dev/null >>"$dir/log/start.log" 2>&1 || failed "slurmd does not start"
  wait_until "the node is idle" idle
  sinfo
}

configure() {
  # Two jobs at a time fit on any machine: what is configured counts, not what slurmd finds. nproc alone heeds OMP_NUM_THREADS.
  local cpus memory
  cpus=$(nproc --all) memory=$(($(awk '/MemTotal/{print $2}' /proc/meminfo) / 1024 * 9 / 10))
  for i in 0 1; do mknod "$dir/gpu$i" c 1 3 2>/dev/null || touch "$dir/gpu$i"; done
  cat >"$conf" <<CONF
ClusterName=$name
SlurmctldHost=$node(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
MinJobAge=600
ReturnToService=2
KillWait=10
OverTimeLimit=0
SlurmdParameters=config_overrides
GresTypes=gpu
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmdSpoolDir=$dir/spool
StateSaveLocation=$dir/state
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
NodeName=$node NodeAddr=127.0.0.1 CPUs=$((cpus > 2 ? cpus : 2)) RealMemory=$((memory > 8000 ? memory : 8000)) Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
  printf 'NodeName=%s Name=gpu File=%s/gpu[0-1]\n' "$node" "$dir" >/etc/slurm/gres.conf
  # Later versions want control groups, which containers do not lend, even where nothing uses them.
  if [[ $(slurmctld -V) > "slurm-wlm 23.11" ]]; then echo "CgroupPlugin=disabled" >/etc/slurm/cgroup.conf; fi
}

munge_runs() { munge -n >/dev/null 2>&1; }

start_munge() {
  chown munge:munge /run/munge
  if [[ ! -e /etc/munge/munge.key ]]; then
    head -c 1024 /dev/urandom >/etc/munge/munge.key
    chown munge:munge /etc/munge/munge.key
    chmod 400 /etc/munge/munge.key
  fi
  su munge -s /bin/bash -c "/usr/sbin/munged --force --pid-file=/run/munge/munged.pid" >"$dir/log/munged.log" 2>&1 ||
    failed "munged does not start"
  wait_until "munge answers" munge_runs
}

alive() { # whether the controller that this script started lives; without it each of SLURM's commands waits for seconds
  [[ -e $conf ]] && [[ -e $dir/slurmctld.pid ]] && kill -0 "$(cat "$dir/slurmctld.pid")" 2>/dev/null
}

idle() { timeout 10 sinfo -h -t idle,mix,alloc -o %n 2>/dev/null | grep -q .; }

wait_until() { # wait_until TEXT COMMAND: a minute at most
  local end=$((SECONDS + 60))
  until "$2"; do
    ((SECONDS < end)) || failed "not within a minute: $1"
    sleep 0.2
  done
}

failed() {
  echo "$1" >&2
  tail -n 20 "$dir"/log/*.log >&2 || true
  exit 1
}

stop() {
  local daemon pid
  for daemon in slurmd slurmctld; do
    pid=$(cat "$dir/$daemon.pid" 2>/dev/null || true)
    if [[ -n $pid && $(cat "/proc/$pid/comm" 2>/dev/null) == "$daemon" ]]; then
      kill "$pid" 2>/dev/null || true
      while [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$daemon" ]]; do sleep 0.1; done
    fi
  done
  # Without it SLURM's commands fail at once; with it, each Snakemake call asks the absent controller for ten seconds.
  if grep -qsx "ClusterName=$name" "$conf"; then rm -f "$conf" /etc/slurm/gres.conf /etc/slurm/cgroup.conf; fi
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
