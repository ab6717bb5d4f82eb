#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Runs a command with a PostgreSQL of its own, which ends with it. In a debug build the
# service keeps everything there instead of in SQLite, so that its tests run on both.
#
#   scripts/on-postgres.sh cargo test -p symbl-service --test streaming session::
set -eu

die() { printf 'on-postgres: %s\n' "$*" >&2; exit 1; }
[ $# -gt 0 ] || die 'give a command, such as: cargo test -p symbl-service --test streaming session::'

programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n 1)
[ -n "$programs" ] || die 'no PostgreSQL (Debian package postgresql)'
directory=$(mktemp -d)
server=
# Stops the server and removes what it has written.
finish() {
    [ -z "$server" ] || { kill -QUIT "$server" 2>/dev/null; wait "$server" 2>/dev/null; } || :
    rm -rf "$directory"
}
trap finish EXIT
trap 'exit 130' INT TERM
# PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    chown postgres "$directory"
    user='setpriv --reuid postgres --regid postgres --clear-groups'
else
    user=
fi
(cd "$directory" && $user "$programs/initdb" -D "$directory/data" -U postgres --auth=trust \
    -E UTF8 --no-locale --no-sync) >"$directory/log" 2>&1 || { cat "$directory/log" >&2; exit 1; }
(cd "$directory" && exec $user "$programs/postgres" -D "$directory/data" -k "$directory" \
    -c listen_addresses= -c max_connections=500 -c fsync=off -c full_page_writes=off) \
    >>"$directory/log" 2>&1 &
server=$!
left=300
until "$programs/pg_isready" -q -h "$directory" -U postgres; do
    left=$((left - 1))
    [ $left -gt 0 ] || { cat "$directory/log" >&2; die 'PostgreSQL does not start'; }
    sleep 0.1
done
SYMBL_TEST_CLUSTER="postgres://postgres@$(printf %s "$directory" | sed 's|/|%2F|g')/postgres"
export SYMBL_TEST_CLUSTER
status=0
"$@" || status=$?
exit $status
