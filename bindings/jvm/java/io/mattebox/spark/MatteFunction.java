package io.mattebox.spark;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.TaskContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF7;
import scala.collection.Seq;

/**
 * {@code mattebox(topic, partition, offset, key, value, headers, settings)}: writes the file of one
 * record, and returns a row with the outcome.
 *
 * <p>When a task succeeds, the states of its cameras are stored before Spark hears that the task is
 * done.
 */
public final class MatteFunction
        implements UDF7<String, Integer, Long, byte[], byte[], Seq<Row>, String, Row> {
    private static final long serialVersionUID = 1;

    /**
     * The local property with the id of the streaming query, which the query's checkpoint keeps:
     * {@code StreamExecution.QUERY_ID_KEY}.
     */
    private static final String QUERY_ID = "sql.streaming.queryId";

    /** Engines by settings and query: every record of a query has the same two texts. */
    private static final ConcurrentHashMap<EngineKey, Long> ENGINES = new ConcurrentHashMap<>();

    /** Partitions whose task has a listener. */
    private static final Set<PartitionTask> OPEN = ConcurrentHashMap.newKeySet();

    private final Tally tally;

    MatteFunction(Tally tally) {
        this.tally = tally;
    }

    /** @param query null where the records are not those of a streaming query */
    private record EngineKey(String settings, String query) {}

    private record PartitionTask(long engine, String topic, int partition, long task) {
        void complete(TaskContext context) {
            OPEN.remove(this);
            if (!context.isFailed() && !context.isInterrupted()) {
                States.store(engine, topic, partition, task);
            }
        }
    }

    /** Adds the name of this machine to an error: another machine may have the file. */
    private static long open(EngineKey key) {
        try {
            return Native.open(key.settings, key.query);
        } catch (SettingsException e) {
            throw new SettingsException(e.getMessage() + " (on " + States.host() + ")");
        }
    }

    @Override
    public Row call(
            String topic,
            Integer partition,
            Long offset,
            byte[] key,
            byte[] value,
            Seq<Row> headers,
            String settings) {
        if (topic == null || partition == null || offset == null || settings == null) {
            throw new MatteboxException(
                    "mattebox(...): topic, partition, offset and settings must not be null");
        }
        TaskContext context = TaskContext.get();
        String query = context == null ? null : context.getLocalProperty(QUERY_ID);
        long engine = ENGINES.computeIfAbsent(new EngineKey(settings, query), MatteFunction::open);
        // Outside of a task, as for a constant, every record counts as one task.
        long task = context == null ? System.nanoTime() : context.taskAttemptId();
        if (context != null) {
            PartitionTask open = new PartitionTask(engine, topic, partition, task);
            if (OPEN.add(open)) {
                context.addTaskCompletionListener(open::complete);
            }
        }
        byte[] packed = Headers.pack(headers);
        byte[] row = Native.frame(engine, topic, partition, offset, task, key, value, packed);
        if (row == null) {
            States.load(engine, topic, partition, offset, task);
            row = Native.frame(engine, topic, partition, offset, task, key, value, packed);
        }
        if (row == null) {
            throw new MatteboxException(
                    "the camera states of offset " + offset
                            + " were read for another task at the same time");
        }
        if (context == null) {
            States.store(engine, topic, partition, task);
        }
        Row result = Result.read(row, value);
        tally.add(new Tally.Frame(
                result.getString(1),
                result.getString(0),
                result.getBoolean(14),
                result.getLong(7),
                result.getAs(4)));
        return result;
    }
}
