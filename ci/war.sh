#!/bin/sh
# Producers and collectors are killed, stopped and resized at random while they rotate, for as long
# as you like; then every system call of the collector is its last, or fails.
#
#   ci/war.sh [ROUNDS]      default: 20000 rounds, about ten minutes
#
# Prints the seed; RELAY_SEED=n repeats a run.
set -u
cd "$(dirname "$0")/.."
export RELAY_ROUNDS="${1:-20000}"
export RELAY_LONG=1
failed=0
for test in collector_war collector_syscalls collector_disk; do
    cargo test -q --package relay-tests --test "$test" -- --nocapture --test-threads=1 || failed=1
done
exit "$failed"
