#!/bin/sh
# Runs a command and ends it, with everything it has started, when it takes too long: says what of it
# was still running, and where that stood.
#
#   ci/watch.sh SECONDS COMMAND [ARGUMENTS]
#
# Its exit status is the command's, or 124.
set -u
limit=$1
shift
# A session of its own, so that what it starts can be found.
setsid -- "$@" &
leader=$!
trap 'kill -KILL -- -"$leader" 2>/dev/null' INT TERM
(
    # Ends with what it watches, so that nobody waits for the rest of a sleep.
    since=0
    while [ "$since" -lt "$limit" ]; do
        sleep 1
        kill -0 "$leader" 2>/dev/null || exit 0
        since=$((since + 1))
    done
    echo "watch: more than $limit s: $*"
    ps -s "$leader" -L -o pid,tid,etimes,time,stat,wchan:20,args
    if command -v gdb >/dev/null; then
        for pid in $(ps -s "$leader" -o pid= | tail -4); do
            gdb -p "$pid" -batch -ex 'thread apply all bt 25' 2>/dev/null | grep -E '^(#|Thread)'
        done
    fi
    kill -KILL $(ps -s "$leader" -o pid=)
    kill -KILL -- -"$leader"
) >&2 &
watcher=$!
wait "$leader"
status=$?
if kill -0 "$watcher" 2>/dev/null; then
    wait "$watcher"
fi
[ "$status" -eq 137 ] && status=124
exit "$status"
