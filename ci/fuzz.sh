#!/bin/sh
# Fuzzes every target of fuzz/, guided by coverage, and prints what came of it.
#
#   ci/fuzz.sh [SECONDS]    each target for so long, 300 if not given, on one core
#   ci/fuzz.sh --smoke      every input of the corpus, and mutations from a seed: no cargo-fuzz needed
#
# RELAY_TARGETS="query lines" fuzzes these only. Needs `cargo install cargo-fuzz` and a C++ compiler, but no
# nightly: what is fuzzed forbids unsafe code, so there is nothing for a sanitizer to see. What is
# found stands in fuzz/artifacts; `cargo run -p relay-fuzz --bin TARGET -- FILE` shows it again. The
# regression input belongs into fuzz/corpus/TARGET.
set -u
cd "$(dirname "$0")/.."
case "${1:-}" in
--smoke) exec cargo test -q --package relay-fuzz --test smoke -- --nocapture ;;
-*)
    echo "usage: ci/fuzz.sh [--smoke | SECONDS]" >&2
    exit 2
    ;;
esac
seconds=${1:-300}
work=${CARGO_TARGET_DIR:-target}/fuzzed
mkdir -p "$work" || exit 1
cargo run -q --package relay-fuzz --example seeds -- "$work/seeds" || exit 1
targets=${RELAY_TARGETS:-$(ls "$work/seeds")}
failed=0
for target in $targets; do
    mkdir -p "$work/$target" "fuzz/corpus/$target"
    log="$work/$target.log"
    crashes=0
    # Archives may hold a GiB where every value is the same (see the bounds of each target).
    cargo fuzz run -s none "$target" "$work/$target" "$work/seeds/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=30 -rss_limit_mb=4096 -print_final_stats=1 \
        >"$log" 2>&1 || {
        crashes=1
        failed=1
        grep -E 'panicked|ERROR|artifacts/' "$log" >&2
    }
    cases=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    echo "ATTACK|fuzz: $target|${cases:-0}|0|0|0|0|$crashes|$covered edges, $seconds s"
done
exit "$failed"
