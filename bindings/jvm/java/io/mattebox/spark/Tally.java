package io.mattebox.spark;

import java.util.Locale;
import org.apache.spark.util.AccumulatorV2;

/**
 * Counts and latencies of the frames of all tasks that succeeded, summed on the driver for every
 * kind of trigger.
 *
 * <p>Latencies are counted in classes whose bounds are 5 % apart, from 0.1 ms up.
 */
public final class Tally extends AccumulatorV2<Tally.Frame, String> {
    private static final long serialVersionUID = 1;
    private static final int CLASSES = 400;
    private static final double LOG_STEP = Math.log(1.05);

    /**
     * One frame.
     *
     * @param status {@code written}, {@code kept} or {@code dead}
     * @param differs whether the file that was kept holds other bytes
     * @param bytes the size of its file
     * @param latencyMs null if it has none
     */
    record Frame(String status, boolean differs, long bytes, Double latencyMs) {}

    private long written;
    private long kept;
    private long differing;
    private long dead;
    private long bytes;
    private final long[] latencies = new long[CLASSES];

    @Override
    public synchronized void add(Frame frame) {
        switch (frame.status()) {
            case "written" -> written++;
            case "kept" -> kept++;
            default -> dead++;
        }
        differing += frame.differs() ? 1 : 0;
        bytes += frame.bytes();
        if (frame.latencyMs() != null) {
            latencies[classOf(frame.latencyMs())]++;
        }
    }

    private static int classOf(double ms) {
        if (ms <= 0.1) {
            return 0;
        }
        return (int) Math.min(CLASSES - 1, Math.ceil(Math.log(ms / 0.1) / LOG_STEP));
    }

    /** The latency in ms that a share of the frames did not exceed; NaN without frames. */
    private double quantile(double share) {
        long frames = 0;
        for (long count : latencies) {
            frames += count;
        }
        if (frames == 0) {
            return Double.NaN;
        }
        long left = (long) Math.ceil(share * frames);
        int at = 0;
        while (at < CLASSES - 1 && left > latencies[at]) {
            left -= latencies[at++];
        }
        return 0.1 * Math.exp(at * LOG_STEP);
    }

    /** All numbers since the last call, as JSON. */
    public synchronized String take() {
        String text = String.format(
                Locale.ROOT,
                "{\"written\": %d, \"kept\": %d, \"differing\": %d, \"dead\": %d, \"bytes\": %d,"
                        + " \"p50\": %.3f, \"p95\": %.3f, \"p99\": %.3f}",
                written, kept, differing, dead, bytes,
                quantile(0.5), quantile(0.95), quantile(0.99));
        reset();
        return text;
    }

    @Override
    public synchronized boolean isZero() {
        return written + kept + dead == 0;
    }

    @Override
    public synchronized Tally copy() {
        Tally copy = new Tally();
        copy.merge(this);
        return copy;
    }

    @Override
    public synchronized void reset() {
        written = kept = differing = dead = bytes = 0;
        java.util.Arrays.fill(latencies, 0);
    }

    @Override
    public synchronized void merge(AccumulatorV2<Frame, String> other) {
        Tally more = (Tally) other;
        written += more.written;
        kept += more.kept;
        differing += more.differing;
        dead += more.dead;
        bytes += more.bytes;
        for (int i = 0; i < CLASSES; i++) {
            latencies[i] += more.latencies[i];
        }
    }

    /** For Spark's own pages. */
    @Override
    public synchronized String value() {
        return written + " written, " + kept + " kept, " + dead + " dead";
    }
}
