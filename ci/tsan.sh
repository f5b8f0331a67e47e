#!/bin/sh
# The tests of relay-log under ThreadSanitizer, nothing of what it reports hidden. Needs a nightly toolchain
# with the source of the standard library, which is built again: as it comes, reference counts rest on fences,
# which ThreadSanitizer does not see.
#
#   rustup toolchain install nightly --component rust-src
#
# ThreadSanitizer sees the threads of one process. What another process reads goes through the kernel: the
# order there is the business of ci/loom.sh.
set -u
cd "$(dirname "$0")/.."
target=$(rustc +nightly -vV | sed -n 's/^host: //p') || exit 2
flags="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/tsan"
export TSAN_OPTIONS="history_size=4"
mkdir -p "$CARGO_TARGET_DIR"

# The control: a race is seen.
cat >"$CARGO_TARGET_DIR/race.rs" <<'END'
static mut WORD: u64 = 0;
fn main() {
    let add = || (0..1000).for_each(|_| unsafe { WORD += 1 });
    let other = std::thread::spawn(add);
    add();
    other.join().unwrap();
}
END
# shellcheck disable=SC2086
rustc +nightly $flags --target "$target" --edition 2024 -o "$CARGO_TARGET_DIR/race" \
    "$CARGO_TARGET_DIR/race.rs" || exit 2
if "$CARGO_TARGET_DIR/race" 2>&1 | grep -q 'ThreadSanitizer: data race'; then
    echo "CONTROL: a race is seen"
else
    echo "CONTROL: a race is not seen" >&2
    exit 1
fi

# Reports make the exit status 66.
export RUSTFLAGS="$flags"
exec cargo +nightly test -Zbuild-std --target "$target" --package relay-log --lib --test channel --test early -- \
    --test-threads 2
