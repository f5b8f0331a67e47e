#!/bin/sh
# Attacks the channel and prints what came of it: attack, cases, records lost, doubled, torn, hangs,
# crashes. Lines that begin with CONTROL must lose: they show that losing is seen. What nothing helps
# against is named as a KNOWN LIMIT.
#
#   ci/attack.sh            everything
#   ci/attack.sh --smoke    fewer rounds and models of two preemptions, in less than three minutes
#
# RELAY_SEED=n repeats a run.
set -u
cd "$(dirname "$0")/.."
rounds=1000
limit=3600
export RELAY_FUZZ_MS=10000
export RELAY_STRESS=60
export RELAY_SCHEDULES=5000
export RELAY_CALLS=1000
export RELAY_FORKS=8
export RELAY_HOLDS=16
export RELAY_LONG=1
export RELAY_STALL=10
export LOOM_MAX_PREEMPTIONS=3
case "${1:-}" in
--smoke)
    rounds=40
    limit=300
    RELAY_CALLS=100
    RELAY_FORKS=400
    RELAY_HOLDS=1
    RELAY_STALL=2
    unset RELAY_LONG
    RELAY_FUZZ_MS=800
    RELAY_STRESS=3
    RELAY_SCHEDULES=500
    LOOM_MAX_PREEMPTIONS=2
    ;;
"") ;;
*)
    echo "usage: ci/attack.sh [--smoke]" >&2
    exit 2
    ;;
esac
out=$(mktemp)
trap 'rm -f "$out"' EXIT
failed=0
seconds=0

# What it takes stands on stderr, without what building takes.
run() {
    since=$(date +%s)
    # What hangs is said and counts as failed: it must not take the table with it.
    ci/watch.sh "$limit" "$@" >>"$out" 2>&1 || {
        failed=1
        echo "attack: FAILED: $*" >&2
    }
    took=$(($(date +%s) - since))
    seconds=$((seconds + took))
    printf 'attack: %4d s  %s\n' "$took" "$*" >&2
}

# First, so that the times are those of the attacks. Of the whole workspace, as `cargo test --workspace` builds it:
# alone, packages have other features of what they need, and all of that is built again.
cargo build --workspace --tests --bins || exit 1
ci/schedules.sh --no-run || exit 1
ci/loom.sh --no-run || exit 1
run "${CARGO_TARGET_DIR:-target}/debug/step"
RELAY_ROUNDS=$rounds run cargo test -q --workspace --test kill_producer -- --nocapture
for attack in preempted births limits family forked_threads stuck lives copies hostile nested power_cut \
    power_steps; do
    run cargo test -q --workspace --test "$attack" -- --nocapture
done
for attack in syscalls disk mounts power durable repack war; do
    RELAY_ROUNDS=$((rounds * 3)) run cargo test -q --workspace --test "collector_$attack" -- \
        --nocapture
done
run cargo test -q --workspace --test smoke --test bombs -- --nocapture
run cargo test -q --workspace --test stress -- --nocapture
run ci/schedules.sh
run ci/loom.sh
models=$(sed -n 's/^test channel::models::.* \.\.\. //p' "$out" | grep -c ok)
bad=$(sed -n 's/^test channel::models::.* \.\.\. //p' "$out" | grep -c FAILED)
note="$models models hold in every order, with $LOOM_MAX_PREEMPTIONS preemptions"
echo "ATTACK|loom models of table, reading, waking|$models|0|0|$bad|0|0|$note" >>"$out"

{
    echo "attack|cases|lost|doubled|torn|hangs|crashes|"
    # Attacks that were carried out in several ways are added up.
    grep -ao 'ATTACK|.*' "$out" | awk -F'|' '
        !($2 in n) { order[++k] = $2 }
        { n[$2]++; note[$2] = $9; for (i = 3; i <= 8; i++) sum[$2, i] += $i }
        $3 == "skipped" { skip[$2] = 1 }
        END {
            for (j = 1; j <= k; j++) {
                a = order[j]
                if (skip[a]) { printf "%s|skipped||||||%s\n", a, note[a]; continue }
                printf "%s|%d|%d|%d|%d|%d|%d|%s\n", a, sum[a, 3], sum[a, 4], sum[a, 5],
                    sum[a, 6], sum[a, 7], sum[a, 8], substr(note[a], 1, 90)
            }
        }'
} | column -t -s '|'
echo "attack: $seconds s in all, building apart" >&2
if [ "$failed" -ne 0 ]; then
    grep -aE 'panicked|FAILED|Outcome' "$out" >&2
    sed -n '/^watch: /,$p' "$out" | grep -aE '^(watch|Thread|#| *[0-9]+ )' | head -200 >&2
fi
exit "$failed"
