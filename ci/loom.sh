#!/bin/sh
# The protocol of the channel in every order that its threads can have. A model that fails prints how
# to run the failing order again (LOOM_CHECKPOINT_FILE, LOOM_LOG).
set -eu
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom ${RUSTFLAGS:-}"
export LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-3}"
exec cargo test --release --package relay-log --lib --target-dir "${CARGO_TARGET_DIR:-target}/loom" \
    "$@" -- channel::models
