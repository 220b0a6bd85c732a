package io.mattebox.spark;

import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
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

    /** Cameras with counts of their own. Those beyond this number share one set. */
    private static final int MAX_CAMERAS = 1000;

    private static final String OTHERS = "(others)";

    /**
     * One frame.
     *
     * @param camera null if the record does not name it
     * @param status {@code written}, {@code skipped} or {@code dead}
     * @param differs whether the file that existed holds other bytes
     * @param bytes the size of its file
     * @param latencyMs null if it has none
     */
    record Frame(String camera, String status, boolean differs, long bytes, Double latencyMs) {}

    /** Counts of one camera. */
    private static final class Counts implements java.io.Serializable {
        private static final long serialVersionUID = 1;
        private long written;
        private long skipped;
        private long dead;

        private void add(Counts more) {
            written += more.written;
            skipped += more.skipped;
            dead += more.dead;
        }
    }

    private final TreeMap<String, Counts> cameras = new TreeMap<>();
    private long differing;
    private long bytes;
    private final long[] latencies = new long[CLASSES];

    @Override
    public synchronized void add(Frame frame) {
        Counts counts = countsOf(frame.camera());
        switch (frame.status()) {
            case "written" -> counts.written++;
            case "skipped" -> counts.skipped++;
            default -> counts.dead++;
        }
        differing += frame.differs() ? 1 : 0;
        bytes += frame.bytes();
        if (frame.latencyMs() != null) {
            latencies[classOf(frame.latencyMs())]++;
        }
    }

    private Counts countsOf(String camera) {
        boolean isCounted = camera != null
                && (cameras.containsKey(camera) || cameras.size() < MAX_CAMERAS);
        return cameras.computeIfAbsent(isCounted ? camera : OTHERS, name -> new Counts());
    }

    private Counts all() {
        Counts all = new Counts();
        cameras.values().forEach(all::add);
        return all;
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

    /**
     * All counts since the last call, as JSON. Names of cameras need no escapes in it.
     */
    public synchronized String take() {
        String counts = cameras.entrySet().stream()
                .map(Tally::json)
                .collect(Collectors.joining(", "));
        String text = String.format(
                Locale.ROOT,
                "{\"cameras\": {%s}, \"differing\": %d, \"bytes\": %d,"
                        + " \"p50\": %.3f, \"p95\": %.3f, \"p99\": %.3f}",
                counts, differing, bytes, quantile(0.5), quantile(0.95), quantile(0.99));
        reset();
        return text;
    }

    private static String json(Map.Entry<String, Counts> camera) {
        Counts counts = camera.getValue();
        return String.format(
                Locale.ROOT,
                "\"%s\": {\"written\": %d, \"skipped\": %d, \"dead\": %d}",
                camera.getKey(), counts.written, counts.skipped, counts.dead);
    }

    @Override
    public synchronized boolean isZero() {
        return cameras.isEmpty();
    }

    @Override
    public synchronized Tally copy() {
        Tally copy = new Tally();
        copy.merge(this);
        return copy;
    }

    @Override
    public synchronized void reset() {
        cameras.clear();
        differing = bytes = 0;
        java.util.Arrays.fill(latencies, 0);
    }

    @Override
    public synchronized void merge(AccumulatorV2<Frame, String> other) {
        Tally more = (Tally) other;
        more.cameras.forEach((camera, counts) -> countsOf(camera).add(counts));
        differing += more.differing;
        bytes += more.bytes;
        for (int i = 0; i < CLASSES; i++) {
            latencies[i] += more.latencies[i];
        }
    }

    /** For Spark's own pages. */
    @Override
    public synchronized String value() {
        Counts all = all();
        return all.written + " written, " + all.skipped + " skipped, " + all.dead + " dead";
    }
}
