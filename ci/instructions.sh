#!/usr/bin/env bash
# Counts what a warm call executes: instructions (callgrind), and what a million of them do besides:
# system calls, page faults, allocations. Fails where that is above its bound.
#
# A count is the difference of a run with many calls and one with none, so that it holds what goes
# from one sub-buffer to the next, shared among the calls. An instruction more is no accident: a bound
# leaves room for another compiler, not for another idea.
#
#   ci/instructions.sh
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build -q --release --package relay-benches --example instructions
program=${CARGO_TARGET_DIR:-target}/release/examples/instructions
failed=0

if command -v valgrind >/dev/null; then
    # Instructions of a run: kind, calls.
    executed() {
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
            sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
    }
    calls=50000
    echo "| call | instructions | bound |"
    echo "|---|---:|---:|"
    while read -r kind bound what; do
        none=$(executed "$kind" 0)
        some=$(executed "$kind" $calls)
        each=$(((some - none) / calls))
        echo "| $what | $each | $bound |"
        if [ "$each" -gt "$bound" ] || [ "$each" -le 0 ]; then
            echo "instructions: $kind: $each instructions a call, the bound is $bound" >&2
            failed=1
        fi
    done <<'BOUNDS'
floor0 30 floor, no value
floor3 60 floor, 3 values
off 14 relay_log::debug!, disabled
macro0 92 relay_log::info!, no argument
macro1 102 relay_log::info!, 1 argument
macro3 170 relay_log::info!, 3 arguments
log0 290 log::info!, no argument
format3 1250 format! into a reused buffer, 3 arguments
log3 1600 log::info!, 3 arguments
nothing3 160 tracing::info!, 3 fields, a layer that does nothing
tracing3 880 tracing::info!, 3 fields, Relay's layer
BOUNDS
else
    echo "instructions: skipped: valgrind is not installed"
fi

# What the program says of its last million calls: minor faults, allocations.
echo
echo "| a million warm calls | minor faults | allocations | system calls |"
echo "|---|---:|---:|---:|"
for kind in macro3 log3 tracing3; do
    read -r faults allocations <<<"$("$program" "$kind" 1000000)"
    calls=skipped
    if command -v strace >/dev/null; then
        counted() { strace -f -c -o /dev/stdout "$program" "$kind" "$1" 2>/dev/null | awk '$NF == "total" { print $(NF - 1) - ($(NF - 2) ~ /\./ ? 0 : 0) }'; }
        calls=$(($(counted 1000000) - $(counted 0)))
    fi
    echo "| $kind | $faults | $allocations | $calls |"
done
exit $failed
