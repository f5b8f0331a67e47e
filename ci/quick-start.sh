#!/usr/bin/env bash
# Compiles and runs the quick start of the README as a program of its own, with the default features of
# log and tracing-subscriber.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
# The first Rust block of the README.
awk '/^```rust$/ && !done {on=1; next} /^```$/ && on {on=0; done=1} on' README.md > "$dir/src/main.rs"
cat > "$dir/Cargo.toml" <<EOF
[package]
name = "quick-start"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
log = "0.4"
tracing = "0.1"
tracing-subscriber = "0.3"
relay-log = { path = "$root/relay-log" }
EOF
cp Cargo.lock "$dir/"
cd "$dir"
CARGO_TARGET_DIR="$root/target/quick-start" cargo run -q
"$root/target/release/relay-collect" --dir logs --once
"$root/target/release/relay-collect" cat --dir logs
"$root/target/release/relay-collect" cat --dir logs --format json | grep -q '"latency_ms":2.5'
echo "the quick start runs"
