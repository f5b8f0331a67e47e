#!/bin/sh
# Any bytes into everything that parses (fuzz/src/lib.rs has the targets and what must hold).
#
#   ci/fuzz.sh --smoke     replays the corpus and mutates it blindly, on stable Rust, for seconds
#   ci/fuzz.sh [SECONDS]   lets coverage guide the mutations, SECONDS (default 300) for each target;
#                          needs a nightly toolchain and `cargo install cargo-fuzz`
#
# What is found new is kept in $FUZZ_CORPUS (default target/fuzz-corpus) and mutated again next time; a
# finding is printed with the command that repeats it, and belongs into fuzz/corpus once it is mended.
set -u
cd "$(dirname "$0")/.."
if [ "${1:-}" = --smoke ]; then
    exec cargo test -q --package relay-fuzz --test smoke -- --nocapture
fi
seconds=${1:-300}
target=${CARGO_TARGET_DIR:-target}
corpus=${FUZZ_CORPUS:-$target/fuzz-corpus}
export CARGO_TARGET_DIR="$target/fuzz"
targets=$(cargo +nightly fuzz list) || exit 2
nice -n 19 cargo +nightly fuzz build -O || exit 1
failed=0
for name in ${FUZZ_TARGETS:-$targets}; do
    mkdir -p "$corpus/$name"
    # One input may take ten seconds and a gibibyte and a half.
    nice -n 19 cargo +nightly fuzz run -O "$name" "$corpus/$name" "fuzz/corpus/$name" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1536 -max_len=16384 -reload=0 \
        -print_final_stats=1 >"$corpus/$name.log" 2>&1
    result=$?
    cases=$(sed -n 's/^stat::number_of_executed_units: *//p' "$corpus/$name.log" | tail -1)
    if [ "$result" -ne 0 ]; then
        failed=1
        echo "ci/fuzz.sh: a finding in $name, see $corpus/$name.log" >&2
        grep -E '^thread|panicked|ERROR: libFuzzer|Test unit written' "$corpus/$name.log" >&2
    fi
    crash=$((result != 0))
    echo "ATTACK|fuzz, guided by coverage: $name|${cases:-0}|0|0|0|0|$crash|$seconds s"
done
exit "$failed"
