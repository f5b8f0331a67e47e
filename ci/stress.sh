#!/bin/sh
# Self-checking records under a reader that spins over the live file (tests/tests/stress.rs).
#
#   ci/stress.sh [MINUTES]      default: 60, half of them with a collector, half overwriting
#
# RELAY_SEED repeats the lengths of the records.
set -eu
cd "$(dirname "$0")/.."
export RELAY_STRESS=$((${1:-60} * 30))
exec cargo test --release --package relay-tests --test stress -- --nocapture --test-threads 1
