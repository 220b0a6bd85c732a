package io.mattebox.spark;

import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.expressions.UserDefinedFunction;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.StructType;

/** Registers the function in a Spark session, for SQL, PySpark, Scala and Java. */
public final class Mattebox {
    private Mattebox() {}

    /**
     * Registers {@code mattebox(topic, partition, offset, key, value, headers, settings)}. The
     * function writes files, so it is marked as not deterministic: Spark calls it once for each
     * record, and leaves none out.
     *
     * @return the counts of frames, to which each finished task adds its own
     */
    public static Tally register(SparkSession spark) {
        Tally tally = new Tally();
        spark.sparkContext().register(tally, "mattebox");
        UserDefinedFunction function = functions.udf(new MatteFunction(tally), Result.SCHEMA);
        spark.udf().register("mattebox", function.asNondeterministic());
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

    /** The type of the rows that the function returns. */
    public static StructType schema() {
        return Result.SCHEMA;
    }
}
