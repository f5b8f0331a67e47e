#!/usr/bin/env bash
# What searching takes, next to `zstdcat | grep -F` and `rg -z -F` of the same text as one zstd -3 file: builds a set
# of archives from real logs, looks for what is rare and what is not, with the files in memory and not, and prints
# Markdown tables. Ratios are medians of paired runs, of time on the clock and of processor time.
#
#   ci/search.sh [-n RUNS] [-m MIB] [-s GIB] FILE…      (text, or text compressed with zstd)
#
# The files are piped over and over into channels of their own until there are MIB of text (1100). Some lines with needles
# are planted in the middle. What the archives give back is compared with what went in, byte for byte.
# The set that is opened has one archive of all of it again and again, under other names, GIB of them (10).
# RELAY_COLLECT names another build of the program; RELAY_WORK where everything is put, on a disk, or nothing is cold.
# "Cold" is without the set's files in the page cache; the programs' own stay there, and so does what others read.
set -euo pipefail
runs=5 mib=1100 gib=10
usage() { echo "ci/search.sh [-n RUNS] [-m MIB] [-s GIB] FILE…" >&2; exit 1; }
while getopts n:m:s: option; do
    case $option in
    n) runs=$OPTARG ;;
    m) mib=$OPTARG ;;
    s) gib=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage
for tool in zstd grep; do
    command -v $tool >/dev/null || { echo "ci/search.sh needs $tool" >&2; exit 1; }
done
rg=$(command -v rg || true)
[ -n "$rg" ] || echo "There is no rg: its columns stay empty."
if [ -z "${RELAY_COLLECT:-}" ]; then
    (cd "$(dirname "$0")/.." && cargo build --quiet --release --package relay-collect)
    RELAY_COLLECT=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/release/relay-collect
fi
relay=$(realpath "$RELAY_COLLECT")
work=$(mktemp -d -p "${RELAY_WORK:-${TMPDIR:-/tmp}}" relay-search.XXXXXX)
trap 'rm -rf "$work"' EXIT
TIMEFORMAT='%R %U %S'
set=$work/set zst=$work/text.zst

# --- The set ---------------------------------------------------------------------------------------------------

planted="request 7f3a9c51e2b84d06 took zanzibarword to code 918273645"
: >"$work/text"
texts=()
for file in "$@"; do
    name=$(basename "${file%.zst}")
    text=$work/of.${name//[!a-zA-Z0-9_-]/_}
    case $file in
    *.zst) zstd -dqfo "$text" "$file" ;;
    *) cp "$file" "$text" ;;
    esac
    # A last line without an end gets one, as it has when it comes back.
    [ -z "$(tail -c 1 "$text")" ] || echo >>"$text"
    texts+=("$text")
done
once=$(cat "${texts[@]}" | wc -c)
rounds=$(((mib * 1048576 + once - 1) / once))
for round in $(seq "$rounds"); do
    for text in "${texts[@]}"; do
        channel=$(basename "$text")
        input=$text
        # In the middle of the set, and of a file.
        if [ "$round" = $(((rounds + 1) / 2)) ] && [ "$text" = "${texts[-1]}" ]; then
            input=$work/planted
            awk -v at="$(($(wc -l <"$text") / 2))" -v line="$planted" '{ print } NR == at { print line }' "$text" >"$input"
        fi
        "$relay" pipe --dir "$set" --channel "${channel#of.}" --buffer-max 1GiB <"$input"
        "$relay" --dir "$set" --once 2>/dev/null
        cat "$input" >>"$work/text"
    done
done
"$relay" cat --dir "$set" --format raw | cmp - "$work/text" || { echo "what came back is not what went in" >&2; exit 1; }
zstd -3 -qfo "$zst" "$work/text"
raw=$(stat -c %s "$work/text")
rm -f "$work/text" "$work"/of.* "$work/planted"
records=$("$relay" cat --dir "$set" --count)

# --- Measuring -------------------------------------------------------------------------------------------------

# Milliseconds on the clock and of processor time that a command of the shell takes. What it writes goes through a
# pipe: `grep` would stop at its first hit if it saw that nobody reads.
cost() {
    local spent
    spent=$({ time { eval "$1" 2>>"$work/said" || true; } | cat >/dev/null; } 2>&1)
    awk '{ printf "%.0f %.0f\n", $1 * 1000, ($2 + $3) * 1000 }' <<<"$spent"
}

# Takes the files of the set out of the page cache.
forget() {
    sync -f "$work"
    find "$set" "$zst" -type f -exec dd if={} iflag=nocache count=0 status=none \;
}

median() { sort -g | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

# A row: what is looked for, Relay's command, `grep`'s and `rg`'s, each in turn.
row() {
    local name=$1 of=(":" "$2" "$3" "$4") when at
    for when in warm cold; do
        rm -f "$work"/run.*
        for at in 1 2 3; do
            : >"$work/run.$at"
            [ $when = cold ] || [ -z "${of[at]}" ] || cost "${of[at]}" >/dev/null
        done
        for _ in $(seq "$runs"); do
            for at in 1 2 3; do
                [ -n "${of[at]}" ] || { echo "0 0" >>"$work/run.$at"; continue; }
                [ $when = warm ] || forget
                cost "${of[at]}" >>"$work/run.$at"
            done
        done
        # Of pairs: a run of the other by the run of Relay beside it.
        ratio() {
            [ -s "$work/run.$1" ] && [ -n "${of[$1]}" ] || { echo -; return; }
            paste -d' ' "$work/run.1" "$work/run.$1" |
                awk -v at="$2" '{ own = $at > 0 ? $at : 1; printf "%.2f\n", $(at + 2) / own }' | median
        }
        echo "| $name | $when | $(cut -d' ' -f1 "$work/run.1" | median) | $(ratio 2 1) | $(ratio 3 1) |" \
            "$(cut -d' ' -f2 "$work/run.1" | median) | $(ratio 2 2) | $(ratio 3 2) |"
    done
}

# A row of a word: counted with `-c`, shown without.
word() {
    local shown=$1 needle=$2
    local own="--format raw" others=
    [ "$shown" = shown ] || own=--count others=-c
    local hits
    hits=$("$relay" cat --dir "$set" --count --grep "$needle")
    row "\`--grep '$needle'\`, $hits, $shown" "$relay cat --dir $set $own --grep '$needle'" \
        "zstdcat $zst | grep $others -F '$needle'" "${rg:+rg -z $others -F '$needle' $zst}"
}

# Seconds at which the newest of the records that are asked for was.
second() {
    date -u -d "$("$relay" cat --dir "$set" --tz UTC --format json --fields time -n 1 "$@" | grep -o '20[^"]*')" +%s.%N
}
first=$("$relay" cat --dir "$set" --tz UTC --format json --fields time 2>/dev/null | head -n 1 | grep -o '20[^"]*') || true
from=$(date -u -d "$first" +%s.%N) to=$(second) middle=$(second --grep zanzibarword)
# From the middle on, so much of all of the time as a minute is of a day.
minute() { date -u -d "@$(awk -v f="$from" -v t="$to" -v m="$middle" -v p="$1" 'BEGIN { printf "%.6f", m + (t - f) * p }')" +%FT%T.%6NZ; }
since=$(minute 0) until=$(minute 0.000694)

echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, Linux $(uname -r)," \
    "$(date -u +%F\ %H:%M) UTC, load $(cut -d' ' -f1 /proc/loadavg) at the start, $runs pairs"
echo
archives=$(find "$set" -name '*.relay.zst' | wc -l)
bytes=$(find "$set" -name '*.relay.zst' -printf '%s\n' | awk '{ all += $1 } END { print all }')
echo "$raw bytes of text, $records records, $archives archives of $bytes bytes; zstd -3 of the text $(stat -c %s "$zst")"
echo
echo "| what | files | ms | zstdcat, grep | rg -z | CPU ms | zstdcat, grep | rg -z |"
echo "|---|---|---:|---:|---:|---:|---:|---:|"
word shown 7f3a9c51e2b84d06
word shown zanzibarword
word shown 'code 918273645'
word shown 918273645
word shown zzqqxx
none="zstdcat $zst | grep -F zzqqxx"
row "a minute of a day, $("$relay" cat --dir "$set" --count --since "$since" --until "$until"); a word that is not there" \
    "$relay cat --dir $set --format raw --since $since --until $until" "$none" "${rg:+rg -z -F zzqqxx $zst}"
for needle in unlocked connection; do
    word counted $needle
    word shown $needle
done

# --- All of it, and memory --------------------------------------------------------------------------------------

echo
echo "| \`cat\` | CPU ms | text, MB/s a core | messages, MB/s a core | peak, MiB |"
echo "|---|---:|---:|---:|---:|"
for format in text raw json; do
    rm -f "$work"/run.*
    shown=$("$relay" cat --dir "$set" --format $format | wc -c)
    for _ in $(seq "$runs"); do
        cost "$relay cat --dir $set --format $format" | cut -d' ' -f2 >>"$work/run.1"
    done
    peak=-
    if [ -x /usr/bin/time ]; then
        /usr/bin/time -q -f %M -o "$work/peak" "$relay" cat --dir "$set" --format $format | cat >/dev/null
        peak=$(awk '{ printf "%d", $1 / 1024 + 0.5 }' "$work/peak")
    fi
    ms=$(median <"$work/run.1")
    echo "| \`--format $format\` | $ms | $((shown / ms / 1000)) | $((raw / ms / 1000)) | $peak |"
done

# --- Opening a large set ----------------------------------------------------------------------------------------

large=$work/large
mkdir -p "$large/archive"
zstdcat "$zst" | "$relay" pipe --dir "$work/one" --channel all --buffer-max "$((raw + raw / 2))"
"$relay" --dir "$work/one" --once 2>/dev/null
bytes=$(find "$work/one" -name '*.relay.zst' -printf '%s\n' | awk '{ all += $1 } END { print all }')
copies=$((gib * 1073741824 / bytes + 1))
number=0
for file in "$work/one/archive"/*.relay.zst; do
    name=$(basename "$file" .relay.zst)
    for _ in $(seq "$copies"); do
        number=$((number + 1))
        ln "$file" "$large/archive/${name%-*}-$number.relay.zst"
    done
done
# What is newest is in one block alone, as it is where times are not all the same. This writes the catalogue, too.
echo "the last line" | "$relay" pipe --dir "$large" --channel last
"$relay" --dir "$large" --once 2>/dev/null
set=$large
of_catalogue=$(stat -c %s "$large/archive/catalogue")
echo
echo "All of the text in one channel, and that $copies times: $number archives of $((bytes * copies)) bytes, catalogue of $of_catalogue bytes:"
echo
echo "| | files | ms | CPU ms | peak, MiB |"
echo "|---|---|---:|---:|---:|"
opened() {
    local when
    for when in warm cold; do
        rm -f "$work"/run.*
        for _ in $(seq "$runs"); do
            [ $when = warm ] || forget
            cost "$relay $1" >>"$work/run.1"
        done
        peak=-
        if [ -x /usr/bin/time ]; then
            # shellcheck disable=SC2086
            /usr/bin/time -q -f %M -o "$work/peak" "$relay" $1 >/dev/null 2>&1
            peak=$(awk '{ printf "%d", $1 / 1024 + 0.5 }' "$work/peak")
        fi
        echo "| \`${1%% --dir*}${1##*large}\` | $when | $(cut -d' ' -f1 "$work/run.1" | median) |" \
            "$(cut -d' ' -f2 "$work/run.1" | median) | $peak |"
    done
}
opened "cat --dir $large -n 1"
opened "cat --dir $large --since 2100-01-01T00:00Z"
opened "cat --dir $large --grep zzqqxx"
echo
echo "Load at the end: $(cut -d' ' -f1-3 /proc/loadavg)."
