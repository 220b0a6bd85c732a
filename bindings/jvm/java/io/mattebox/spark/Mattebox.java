package io.mattebox.spark;

import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.StructType;

/** Makes the function known to a session, for SQL, PySpark, Scala and Java. */
public final class Mattebox {
    private Mattebox() {}

    /**
     * Registers {@code mattebox(topic, partition, offset, key, value, headers, settings)}. It writes files, so it is marked as not deterministic:
     * Spark calls it once for each record, and leaves none out.
     *
     * @return what becomes of the frames, task by task
     */
    public static Tally register(SparkSession spark) {
        Tally tally = new Tally();
        spark.sparkContext().register(tally, "mattebox");
        spark.udf().register("mattebox", functions.udf(new MatteFunction(tally), Result.SCHEMA).asNondeterministic());
        return tally;
    }

    /**
     * Checks settings on this machine, as the executors do with the last argument of the function.
     *
     * @throws SettingsException if one cannot be used
     */
    public static void check(String settings) {
        Native.check(settings);
    }

    /** The type of what the function returns. */
    public static StructType schema() {
        return Result.SCHEMA;
    }
}
