#!/bin/sh
# The table of sub-buffers under random schedules. RELAY_SEED repeats a run, RELAY_SCHEDULES says how many
# schedules are tried of each kind.
set -eu
cd "$(dirname "$0")/.."
# Weaker orders are the business of ci/loom.sh.
export SHUTTLE_SILENCE_WARNINGS=1
export RUSTFLAGS="--cfg shuttle ${RUSTFLAGS:-}"
exec cargo test --release --package relay-log --lib --target-dir "${CARGO_TARGET_DIR:-target}/shuttle" \
    "$@" -- channel::schedules --nocapture
