#!/usr/bin/env bash
# What it takes to ingest text, next to `zstd -3` of the same text: processor time of both, user and system, and
# the most memory that was resident. Prints a Markdown table; medians of paired runs.
#
#   ci/ingest.sh [-n RUNS] FILE…        (text, or text compressed with zstd)
#
# Ingesting is `relay-collect pipe` with the file as its input, and a collector that archives what it wrote: first
# one after the other, so that all of the file waits in the channel; then at once, as in use, with a channel that
# holds at most RELAY_AT_ONCE (16MiB), so that sub-buffers are used again and `pipe` waits for the collector. There,
# what both take together is counted, and the time that passes until all is archived.
# RELAY_COLLECT names other builds of the program, with spaces between; they are run in turns, and have a row each.
set -euo pipefail
runs=5
if [ "${1:-}" = -n ]; then
    runs=$2
    shift 2
fi
[ $# -gt 0 ] || { echo "ci/ingest.sh [-n RUNS] FILE…" >&2; exit 1; }
if [ -z "${RELAY_COLLECT:-}" ]; then
    (cd "$(dirname "$0")/.." && cargo build --quiet --release --package relay-collect)
    RELAY_COLLECT=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/release/relay-collect
fi
work=$(mktemp -d -p "${RELAY_WORK:-/dev/shm}")
trap 'rm -rf "$work"' EXIT
TIMEFORMAT='%U %S'

# Milliseconds of processor time that a command takes.
cost() {
    local spent
    spent=$({ time "$@" >/dev/null 2>"$work/said"; } 2>&1)
    awk '{ printf "%d", ($1 + $2) * 1000 + 0.5 }' <<<"$spent"
}

# The same command again, with its peak of resident memory in MiB.
peak() {
    if [ -x /usr/bin/time ]; then
        /usr/bin/time -q -f %M -o "$work/peak" "$@" >/dev/null 2>&1
        awk '{ printf "%d", $1 / 1024 + 0.5 }' "$work/peak"
    else
        echo "-"
    fi
}

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
write() { "$build" pipe --dir "$work/d" --channel text --buffer-max 1GiB <"$work/text"; }

# Both at once: milliseconds of processor time of both, and milliseconds that pass.
at_once() {
    rm -rf "$work/d" "$work/pid"
    mkdir "$work/d"
    { time bash -c 'echo $$ >"$1"; exec "$2" --dir "$3" >/dev/null 2>&1' _ "$work/pid" "$build" "$work/d"; } \
        2>"$work/collected" &
    local collecting=$! begun ended piped
    until [ -s "$work/pid" ] && compgen -G "$work/d/live" >/dev/null; do sleep 0.01; done
    begun=$(date +%s%N)
    piped=$(cost "$build" pipe --dir "$work/d" --channel text --buffer-max "${RELAY_AT_ONCE:-16MiB}" <"$work/text")
    # It archives what is there before it ends.
    kill -TERM "$(<"$work/pid")"
    wait "$collecting"
    ended=$(date +%s%N)
    awk -v piped="$piped" -v ns=$((ended - begun)) \
        '{ printf "%d %d", piped + ($1 + $2) * 1000 + 0.5, ns / 1e6 }' "$work/collected"
}

read -ra builds <<<"$RELAY_COLLECT"
echo "| file | build | text, bytes | zstd -3, ms | pipe, ms | collector, ms | ratio | at once, ms | elapsed, ms | ratio | peak of pipe, MiB | of the collector |"
echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
for file in "$@"; do
    case $file in
    *.zst) zstd -dqfo "$work/text" "$file" ;;
    *) cp "$file" "$work/text" ;;
    esac
    rm -f "$work"/runs.*
    for _ in $(seq "$runs"); do
        plain=$(cost zstd -3 -T1 --single-thread -qfo "$work/zst" "$work/text")
        for at in "${!builds[@]}"; do
            build=${builds[at]}
            rm -rf "$work/d"
            pipe=$(cost write)
            collector=$(cost "$build" --dir "$work/d" --once)
            echo "$plain $pipe $collector $(at_once)" >>"$work/runs.$at"
        done
    done
    for at in "${!builds[@]}"; do
        build=${builds[at]}
        rm -rf "$work/d"
        of_pipe=$(peak "$build" pipe --dir "$work/d" --channel text --buffer-max 1GiB <"$work/text")
        of_collector=$(peak "$build" --dir "$work/d" --once)
        middle() { cut -d' ' -f"$1" "$work/runs.$at" | median; }
        ratio=$(awk '{ printf "%.2f\n", ($2 + $3) / ($1 > 0 ? $1 : 1) }' "$work/runs.$at" | median)
        together=$(awk '{ printf "%.2f\n", $4 / ($1 > 0 ? $1 : 1) }' "$work/runs.$at" | median)
        echo "$ratio" >>"$work/ratios.$at"
        echo "$together" >>"$work/together.$at"
        name=$(basename "${file%.zst}")
        echo "| $name | $at | $(stat -c %s "$work/text") | $(middle 1) | $(middle 2) | $(middle 3) | $ratio |" \
            "$(middle 4) | $(middle 5) | $together | $of_pipe | $of_collector |"
    done
done
echo
for at in "${!builds[@]}"; do
    echo "Build $at: median of the ratios $(median <"$work/ratios.$at"), at once $(median <"$work/together.$at")."
done
echo "Load: $(cut -d' ' -f1-3 /proc/loadavg)."
