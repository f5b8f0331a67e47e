#!/usr/bin/env bash
# Counts what a warm call executes (callgrind), and what a million of them do besides: system calls,
# page faults, allocations. Fails where that is above its bound.
#
# A count is the difference of a run with many calls and one with none, so that it holds what goes
# from one sub-buffer to the next, shared among the calls. The bounds leave room for another
# compiler, not for another idea.
#
#   ci/instructions.sh
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build -q --release --workspace --example instructions
program=${CARGO_TARGET_DIR:-target}/release/examples/instructions
failed=0
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT

fail() {
    echo "instructions: $*" >&2
    failed=1
}

executed() {
    valgrind --tool=callgrind --callgrind-out-file="$counts" "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

# Calls of the allocator in the run that `executed` counted last.
allocated() {
    awk -F'[=() ]+' '/^c?fn=/ { if ($3 ~ /^(malloc|calloc|realloc|posix_memalign)$/) wanted[$2]; of = $2 }
        /^calls=/ && of in wanted { n += $2 } END { print n + 0 }' "$counts"
}

system_calls() {
    strace -f -qq -o /dev/stdout "$program" "$1" "$2" | grep -c '(' || true
}

if command -v valgrind >/dev/null; then
    calls=20000
    echo "| a warm call | instructions | bound | allocations |"
    echo "|---|---:|---:|---:|"
    while read -r kind bound what; do
        none=$(executed "$kind" 0)
        before=$(allocated)
        some=$(executed "$kind" $calls)
        each=$(((some - none) / calls))
        made=$(($(allocated) - before))
        echo "| $what | $each | $bound | $made |"
        [ "$each" -gt 0 ] && [ "$each" -le "$bound" ] ||
            fail "$what: $each instructions a call, the bound is $bound"
        [ "$made" = 0 ] && [ "$before" -gt 0 ] || fail "$what: $made allocations in $calls calls"
    done <<'BOUNDS'
floor0 30 floor, no value
floor3 60 floor, 3 values
off 14 relay_log::debug!, disabled
macro0 88 relay_log::info!, no argument
macro1 96 relay_log::info!, 1 argument
macro3 164 relay_log::info!, 3 arguments
log0 176 log::info!, no argument
format3 1250 format! into a reused buffer, 3 arguments
log3 1470 log::info!, 3 arguments
nothing3 160 tracing::info!, 3 fields, a layer that does nothing
tracing3 755 tracing::info!, 3 fields, Relay's layer
BOUNDS
else
    echo "instructions, allocations: skipped: valgrind is not installed"
fi

for kind in macro3 log3 tracing3; do
    n=$("$program" "$kind" 1000000)
    echo "minor page faults in a million warm calls, $kind: $n"
    # One for every sub-buffer would be a thousand; a page of the program may have been dropped.
    [ "$n" -le 100 ] || fail "$kind faults"
done

if command -v strace >/dev/null; then
    for kind in macro3 log3 tracing3; do
        n=$(($(system_calls "$kind" 1000000) - $(system_calls "$kind" 0)))
        echo "system calls in a million warm calls, $kind: $n"
        # One for every sub-buffer would be a thousand; every 100 ms a thread's name is asked for
        # again.
        [ "$n" -le 100 ] || fail "$kind makes system calls"
    done
else
    echo "system calls: skipped: strace is not installed"
fi

if command -v objdump >/dev/null; then
    # The function that the macros call, in each of its forms: no instruction that locks the bus.
    forms=$(objdump -d --no-show-raw-insn "$program" |
        awk '/^[0-9a-f]+ <.*deferred8callsite5write/ { on = 1; n++ } on && /\tlock |\txchg .*\(/ { bad++ }
             /^$/ { on = 0 } END { print n + 0, bad + 0 }')
    echo "forms of the function that macros call, locked instructions in them: $forms"
    case $forms in
    0\ *) fail "the function that macros call was not found" ;;
    *\ 0) ;;
    *) fail "a locked instruction in the hot path" ;;
    esac
else
    echo "locked instructions: skipped: objdump is not installed"
fi
exit $failed
