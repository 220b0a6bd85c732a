#!/usr/bin/env bash
# Kill -9 of everything, at full size: 8 cameras, 10,000 frames, 3 workers on 6 partitions, a worker
# killed every few seconds, the broker twice, a camera once. Then 40 changes of the log while a
# group runs: its topic created again, cut and grown, its states damaged, thinned and deleted,
# workers and broker killed. The same tests run small in `make test`. Takes about ten minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
export CHAOS_CAMERAS=8 CHAOS_FRAMES=${CHAOS_FRAMES:-1250} CHAOS_FPS=${CHAOS_FPS:-25} \
    CHAOS_WORKERS=3 CHAOS_PAUSE_MS=${CHAOS_PAUSE_MS:-3000}
export CHAOS_ROUNDS=${CHAOS_ROUNDS:-40} CHAOS_SEED=${CHAOS_SEED:-$RANDOM}
exec cargo test --release --locked -p mattebox --test end_to_end -- --nocapture --test-threads 1 \
    kafka_chaos kafka_log_chaos
