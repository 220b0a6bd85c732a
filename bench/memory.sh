#!/usr/bin/env bash
# Shows that the memory of `mattebox run` does not grow: the resident set after 1,000 frames against
# the one after 20,000.
#   bench/memory.sh [MATTE...]     matte kinds to run, default: hard soft
#
#   MATTEBOX=target/release/mattebox   the binary
#   SOURCE=...    the source; default: the sample clip without end, through FFmpeg's lavfi
#   FRAMES=20000  how many frames
#   FLAGS=...     more flags for `mattebox run`, for example FLAGS='--background blur --threads 4'
#
# It polls /proc/PID/status (Linux) while the program runs, prints a row per mark, and ends with
# status 1 if the resident set at the end is more than a tenth above the one at the first mark.
# Written pictures are removed on the way, so that the disk does not fill.
set -euo pipefail
cd "$(dirname "$0")/.."

mattebox=${MATTEBOX:-target/release/mattebox}
source=${SOURCE:-lavfi:movie=samples/person.mp4:loop=0,setpts=N/25/TB}
frames=${FRAMES:-20000}
read -ra flags <<<"${FLAGS:-}"
mattes=("$@")
[ $# -gt 0 ] || mattes=(hard soft)
[ -x "$mattebox" ] || {
    echo "memory.sh: no $mattebox: run 'make build' first, or name a binary with MATTEBOX=" >&2
    exit 2
}
[ "$frames" -gt 1000 ] || {
    echo "memory.sh: FRAMES=$frames: at least 1001, the first mark is at 1000" >&2
    exit 2
}

out=$(mktemp -d)
pid=
clean() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    rm -rf "$out"
}
trap clean EXIT

# Sets $rss and $peak in KiB; fails once the process has ended. The file is read at once, because it
# changes while it is read line by line.
look() {
    local status key value rest
    rss='' peak=''
    status=$(cat "/proc/$pid/status" 2>/dev/null) || return 1
    while read -r key value rest; do
        case $key in VmRSS:) rss=$value ;; VmHWM:) peak=$value ;; esac
    done <<<"$status"
    [ -n "$rss" ]
}

# The number of the newest picture, -1 before the first; removes all that are older.
newest() {
    local files=("$out"/cam01/frame_*.png) last
    [ -e "${files[0]}" ] || { echo -1; return; }
    last=${files[-1]##*frame_}
    # Workers finish out of order by a few frames: removed pictures are much older.
    if [ ${#files[@]} -gt 64 ]; then
        printf '%s\0' "${files[@]:0:${#files[@]}-64}" | xargs -0 rm -f
    fi
    echo $((10#${last%.png}))
}

mib() { awk -v kib="$1" 'BEGIN { printf "%.1f", kib / 1024 }'; }
row() { printf '%-6s %9d %10s %10s\n' "$matte" "$1" "$(mib "$2")" "$(mib "$3")"; }

measure() {
    matte=$1
    local at first='' last_rss='' last_peak='' last_at='' mark=1000
    "$mattebox" run "$source" --camera-id cam01 --out "$out" --matte "$matte" --frames "$frames" \
        --progress none \
        ${flags[@]+"${flags[@]}"} >"$out/log" 2>&1 &
    pid=$!
    while look; do
        at=$(($(newest) + 1))
        [ "$at" -le 0 ] || { last_rss=$rss last_peak=$peak last_at=$at; }
        if [ "$at" -ge "$mark" ] && [ "$at" -lt "$frames" ]; then
            first=${first:-$rss}
            row "$at" "$rss" "$peak"
            mark=$((mark == 1000 ? 5000 : mark + 5000))
        fi
        sleep 0.05
    done
    if ! wait "$pid"; then
        pid=
        echo "memory.sh: mattebox failed:" >&2
        cat "$out/log" >&2
        exit 1
    fi
    pid=
    row "$last_at" "$last_rss" "$last_peak"
    [ -n "$first" ] || {
        echo "memory.sh: only $last_at of $frames frames came; is the source long enough?" >&2
        exit 1
    }
    [ "$last_at" -gt $((frames * 9 / 10)) ] || {
        echo "memory.sh: the last look was at frame $last_at of $frames" >&2
        exit 1
    }
    if [ "$last_rss" -gt $((first + first / 10)) ]; then
        echo "memory.sh: $matte grew from $(mib "$first") to $(mib "$last_rss") MiB" >&2
        grew=1
    fi
}

grew=0
printf '%-6s %9s %10s %10s\n' matte frames 'RSS MiB' 'peak MiB'
for kind in "${mattes[@]}"; do
    rm -rf "$out/cam01"
    measure "$kind"
done
exit $grew
