package io.mattebox.spark;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.TaskContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF7;
import scala.collection.Seq;

/**
 * {@code mattebox(topic, partition, offset, key, value, headers, settings)}: makes the file of one record, and returns what became of it.
 *
 * <p>What is remembered of the cameras is stored when the task ends well, before Spark hears of it.
 */
public final class MatteFunction implements UDF7<String, Integer, Long, byte[], byte[], Seq<Row>, String, Row> {
    private static final long serialVersionUID = 1;

    /** Where Spark tells a task the id of its streaming query, which the query's checkpoint keeps: {@code StreamExecution.QUERY_ID_KEY}. */
    private static final String QUERY_ID = "sql.streaming.queryId";

    /** Engines by settings and query: the same texts for every record of a query. */
    private static final ConcurrentHashMap<Key, Long> ENGINES = new ConcurrentHashMap<>();

    /** Partitions whose task has a listener. */
    private static final Set<Place> OPEN = ConcurrentHashMap.newKeySet();

    private final Tally tally;

    MatteFunction(Tally tally) {
        this.tally = tally;
    }

    /** @param query null where the records are not those of a streaming query */
    private record Key(String settings, String query) {}

    private record Place(long engine, String topic, int partition, long task) {
        void complete(TaskContext context) {
            OPEN.remove(this);
            if (!context.isFailed() && !context.isInterrupted()) {
                States.store(engine, topic, partition, task);
            }
        }
    }

    /** Says on which machine a setting cannot be used: others may have the file. */
    private static long open(Key key) {
        try {
            return Native.open(key.settings, key.query);
        } catch (SettingsException e) {
            throw new SettingsException(e.getMessage() + " (on " + States.host() + ")");
        }
    }

    @Override
    public Row call(
            String topic, Integer partition, Long offset, byte[] key, byte[] value, Seq<Row> headers, String settings) {
        if (topic == null || partition == null || offset == null || settings == null) {
            throw new MatteboxException("mattebox(...): topic, partition, offset and settings must not be null");
        }
        TaskContext context = TaskContext.get();
        String query = context == null ? null : context.getLocalProperty(QUERY_ID);
        long engine = ENGINES.computeIfAbsent(new Key(settings, query), MatteFunction::open);
        // Without a task, as for a constant, every record is a task of its own.
        long task = context == null ? System.nanoTime() : context.taskAttemptId();
        if (context != null) {
            Place place = new Place(engine, topic, partition, task);
            if (OPEN.add(place)) {
                context.addTaskCompletionListener(place::complete);
            }
        }
        byte[] packed = Headers.pack(headers);
        byte[] row = Native.frame(engine, topic, partition, offset, task, key, value, packed);
        if (row == null) {
            States.load(engine, topic, partition, offset, task);
            row = Native.frame(engine, topic, partition, offset, task, key, value, packed);
        }
        if (row == null) {
            throw new MatteboxException("the camera states of offset " + offset + " were read for another task at the same time");
        }
        if (context == null) {
            States.store(engine, topic, partition, task);
        }
        Row result = Result.read(row, value);
        tally.add(new Tally.Frame(result.getString(0), result.getBoolean(14), result.getLong(7), result.getAs(4)));
        return result;
    }
}
