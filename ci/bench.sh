#!/usr/bin/env bash
# All figures about speed. ci/bench.sh [--record] [PART…]: without parts, all of them, in about a quarter
# of an hour on two idle cores. --record writes each into its section of docs/measurements.md and draws the plots
# in docs/plots/ from there.
set -euo pipefail
cd "$(dirname "$0")/.."

parts=(call switch kernel sites peers-call peers-whole peers-storm threads)
record=
if [ "${1:-}" = --record ]; then
    record=yes
    shift
fi
[ $# -eq 0 ] || parts=("$@")

target=${CARGO_TARGET_DIR:-$PWD/target}
made=$(mktemp)
trap 'rm -f "$made" "$made.md"' EXIT

# Puts the output of a part between its marks.
put() {
    grep -q "^<!-- begin $1 -->$" docs/measurements.md || { echo "no section $1" >&2; exit 1; }
    awk -v begin="<!-- begin $1 -->" -v end="<!-- end $1 -->" -v from="$made" '
        $0 == end { inside = 0 }
        !inside { print }
        $0 == begin { inside = 1; print ""; while ((getline line < from) > 0) print line; print "" }
    ' docs/measurements.md >"$made.md"
    cat "$made.md" >docs/measurements.md
}

# The peers need a hundred crates that nothing else here does: a package, a lock and a target of their own.
export CARGO_TARGET_DIR=$target
cargo build --release -p relay-benches --benches --bins
peers() {
    cargo build --quiet --release --manifest-path benches/peers/Cargo.toml --target-dir "$target/peers"
    "$target/peers/release/relay-peers" "$1"
}

for part in "${parts[@]}"; do
    printf '\n== %s\n' "$part"
    case $part in
    peers-*) peers "${part#peers-}" ;;
    *) cargo bench --quiet -p relay-benches --bench "$part" ;;
    esac | tee "$made"
    [ -z "$record" ] || put "$part"
done
[ -z "$record" ] || cargo run --quiet --release -p relay-benches --bin plot docs/measurements.md docs/plots
