#!/usr/bin/env bash
# Everything that a change must pass. Prints each command before it runs it.
set -euo pipefail
cd "$(dirname "$0")/.."

# With the seconds that have passed.
say() { printf '\n== %4d s  %s\n' "$SECONDS" "$*"; }
run() { say "$*"; "$@"; }

# Everything is built once: what would make the next build faster only costs.
export CARGO_INCREMENTAL=0

# Tests with strace and zstd say that they are skipped where these are missing; here they are not to be.
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    missing=()
    for tool in zstd strace valgrind; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        run apt-get update -qq
        run apt-get install -y -qq "${missing[@]}"
    fi
fi

run cargo fmt --all --check
run cargo clippy --workspace --all-targets -- -D warnings
for features in "" log macros tracing; do
    run cargo clippy -p relay-log --no-default-features --features "$features" -- -D warnings
done
RUSTDOCFLAGS="-D warnings" run cargo doc --workspace --no-deps

# The test command of the README, built first: what hangs in it is ended and said.
cargo test --workspace --no-run
run ci/watch.sh 2700 cargo test --workspace

# The main job of the README, and the lessons.
demo=$(mktemp -d)
trap 'rm -rf "$demo"' EXIT
run ci/watch.sh 1200 cargo run --release --example demo -- "$demo/demo"
# With the features of the whole workspace, as above: what is needed is built once.
run cargo build --release --workspace --examples --bin relay-collect
for lesson in examples/lessons/*.rs; do
    name=$(basename "$lesson" .rs)
    say "lesson $name"
    case $name in
    01_log) target/release/examples/"$name" "$demo/lessons" || echo "aborted, as it says" ;;
    *) target/release/examples/"$name" "$demo/lessons" ;;
    esac
done
run target/release/relay-collect --dir "$demo/lessons" --once
run target/release/relay-collect cat --dir "$demo/lessons" --channel lessons -n 5
run ci/quick-start.sh

# What a warm call executes, against its bounds.
run ci/instructions.sh

# Attacks and models, the short ones.
run ci/attack.sh --smoke

say "all is well"
