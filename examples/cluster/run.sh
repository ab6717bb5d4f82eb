#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# A cluster on this machine, to try it: PostgreSQL with a synchronous replica, three nodes of
# symbl-service, and HAProxy in front of them, all on loopback and in a temporary folder.
#
#   examples/cluster/run.sh                      until Ctrl-C
#   examples/cluster/run.sh COMMAND [ARGUMENT]…  as long as a command runs
#
# The command finds these in its environment:
#   SYMBL_BASE_URL   the address of HAProxy, for clients
#   CLUSTER_NODES    the nodes, one a line: name, address and process id
#   CLUSTER_LOGS     the folder with what each program says
#
# NODE_OPTIONS are further options of each node, such as "--recognizer scripted". SYMBL_SERVICE
# is the program, if it is not in the folder of cargo.
#
# At its end, also by Ctrl-C, the script stops every process that it started and removes every
# file that it wrote. Its exit status is that of the command.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
service=${SYMBL_SERVICE:-$target/release/symbl-service}

die() { printf 'cluster: %s\n' "$*" >&2; exit 1; }
say() { printf 'cluster: %s\n' "$*" >&2; }

PATH=$PATH:/usr/sbin
programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n 1)
[ -x "$programs/postgres" ] || die 'no PostgreSQL; install the Debian package postgresql'
command -v haproxy >/dev/null || die 'no HAProxy; install the Debian package haproxy'
[ -x "$service" ] || die "$service is missing; run: make build"

dir=$(mktemp -d)
started=()
clean_up() {
    trap - EXIT
    trap '' INT TERM
    local pid
    # The last one first: who uses something ends before it.
    while [ ${#started[@]} -gt 0 ]; do
        pid=${started[-1]#*:}
        kill -s "${started[-1]%%:*}" "$pid" 2>/dev/null || true
        timeout 10 tail --pid="$pid" --sleep-interval=0.05 -f /dev/null ||
            kill -KILL "$pid" 2>/dev/null || true
        unset 'started[-1]'
    done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$dir/logs" "$dir/tmp"

# start NAME SIGNAL COMMAND…: starts a program that says what it says into a file, and notes
# how it is stopped. If this script is killed, it dies too.
start() {
    local name=$1 signal=$2
    local death=KILL
    # PostgreSQL would leave shared memory behind.
    [ "$signal" != QUIT ] || death=QUIT
    shift 2
    setpriv --pdeathsig $death "$@" >"$dir/logs/$name" 2>&1 3>&- &
    started+=("$signal:$!")
    # So that bash does not report how it ends.
    disown
}

# until_true WHAT COMMAND…: repeats a command until it succeeds, for 30 seconds.
until_true() {
    local what=$1 left=300
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        if [ $left -le 0 ]; then
            tail -n 20 "$dir"/logs/* >&2 || true
            die "$what; what the programs said is above"
        fi
        sleep 0.1
    done
}

# --- PostgreSQL. It refuses to run as root. Its sockets are in the folder, so that no other
# user of this machine gets in, and it has no password. On machines of their own, the two have
# addresses, passwords and TLS.
user=()
if [ "$(id -u)" = 0 ]; then
    chmod 711 "$dir"
    user=(--reuid postgres --regid postgres --clear-groups)
fi
as_user() { (cd / && exec setpriv --pdeathsig keep "${user[@]}" "$@"); }
database() { "$programs/psql" -qtAX -v ON_ERROR_STOP=1 -h "$dir/$1" -U postgres -c "$2"; }

for server in primary replica; do
    mkdir -m 700 "$dir/$server"
    [ ${#user[@]} -eq 0 ] || chown postgres "$dir/$server"
done
as_user "$programs/initdb" -D "$dir/primary/data" -U postgres --auth=trust -E UTF8 --no-locale \
    --no-sync >"$dir/logs/initdb" 2>&1 || { cat "$dir/logs/initdb" >&2; die 'initdb failed'; }
# SIGQUIT: the data is thrown away, so nothing has to be written down.
start primary QUIT "${user[@]}" "$programs/postgres" -D "$dir/primary/data" -k "$dir/primary" \
    -c listen_addresses=
until_true 'PostgreSQL does not start' "$programs/pg_isready" -q -h "$dir/primary" -U postgres
as_user "$programs/pg_basebackup" -D "$dir/replica/data" -h "$dir/primary" -U postgres \
    --checkpoint=fast --no-sync --write-recovery-conf --create-slot --slot replica \
    >"$dir/logs/basebackup" 2>&1 || { cat "$dir/logs/basebackup" >&2; die 'no replica'; }
start replica QUIT "${user[@]}" "$programs/postgres" -D "$dir/replica/data" -k "$dir/replica" \
    -c listen_addresses= -c cluster_name=replica
# From now on a commit is answered when both have it on disk, so that a failover loses none.
database primary "ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (replica)'"
database primary 'SELECT pg_reload_conf()' >/dev/null
is_synchronous() {
    [ "$(database primary 'SELECT sync_state FROM pg_stat_replication')" = sync ]
}
until_true 'the replica does not follow' is_synchronous
database primary 'CREATE DATABASE symbl'

# --- Nodes. Of the two hosts each takes the one that can be written to.
socket() { printf %s "$dir/$1" | sed 's|/|%2F|g'; }
SYMBL_CLUSTER="postgres://postgres@$(socket primary),$(socket replica)/symbl"
CLUSTER_NODES=
for name in a b c; do
    # shellcheck disable=SC2086 # the options are words
    SYMBL_CLUSTER=$SYMBL_CLUSTER TMPDIR=$dir/tmp start "node-$name" TERM "$service" --listen 127.0.0.1:0 \
        ${NODE_OPTIONS:-}
    until_true "node-$name does not start" grep -q '^listening on ' "$dir/logs/node-$name"
    address=$(sed -n 's|^listening on http://||p' "$dir/logs/node-$name" | head -n 1)
    export "SYMBL_NODE_${name^^}=$address"
    CLUSTER_NODES+="node-$name http://$address ${started[-1]#*:}"$'\n'
done

# --- HAProxy, on a port that is free now; if somebody takes it, on another one.
is_reached() { curl -sf -o "$dir/logs/ready" "http://$SYMBL_LISTEN/readyz"; }
for attempt in 1 2 3 4 5; do
    port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
    export SYMBL_LISTEN=127.0.0.1:$port
    start haproxy TERM haproxy -db -f "$here/haproxy.cfg"
    sleep 0.1
    ! kill -0 "${started[-1]#*:}" 2>/dev/null || break
    [ "$attempt" -lt 5 ] || { cat "$dir/logs/haproxy" >&2; die 'HAProxy does not start'; }
done
until_true 'HAProxy finds no node' is_reached

export SYMBL_BASE_URL=http://$SYMBL_LISTEN CLUSTER_NODES CLUSTER_LOGS=$dir/logs
if [ $# -gt 0 ]; then
    status=0
    # In the background, because only "wait" lets a signal through at once.
    setpriv --pdeathsig TERM "$@" &
    started+=("TERM:$!")
    wait $! || status=$?
    exit $status
fi
say "for clients: $SYMBL_BASE_URL/ (also the page)"
printf '%s' "$CLUSTER_NODES" | while read -r name address pid; do
    say "$name: $address, process $pid (kill -9 $pid)"
done
say "what they say: $dir/logs; Ctrl-C ends all"
while :; do sleep 3600 & wait $!; done
