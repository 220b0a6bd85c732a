#!/usr/bin/env bash
# Instructions per picture and per frame, counted by valgrind: unlike times, the same in every run.
#
#   bench/instructions.sh [LEVEL]     scalar, sse4.2 or avx2 (default); valgrind knows no AVX-512
#
# Each figure is the difference between two runs of different length, so that starting up does not
# count. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-avx2}
command -v valgrind >/dev/null || {
    echo "instructions.sh: valgrind is missing; on Debian and Ubuntu: apt install valgrind" >&2
    exit 1
}
cargo build --release --locked --workspace --bins --examples
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null |
        sed -n 's/.*Collected : //p'
}
show() {
    awk -v name="$1" -v short="$2" -v long="$3" -v times="$4" \
        'BEGIN { printf "%-28s %8.2f million\n", name, (long - short) / times / 1e6 }'
}

for model in selfie_segmentation selfie_segmentation_landscape; do
    runs() {
        printf "\\x$(printf %02x "$1")\\0\\0\\0" |
            count target/release/examples/network serve "crates/net/model/$model.tflite" "$level"
    }
    show "$model" "$(runs 2)" "$(runs 12)" 10
done
for size in 640x360 1280x720; do
    for matte in hard soft; do
        frames() {
            count target/release/mattebox bench --size "$size" --matte "$matte" --simd "$level" \
                --frames "$1"
        }
        show "$size $matte" "$(frames 2)" "$(frames 12)" 10
    done
done
