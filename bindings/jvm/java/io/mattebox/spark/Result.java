package io.mattebox.spark;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** The row with the outcome of one record. */
final class Result {
    private Result() {}

    /**
     * The places where the value of a record to publish can be, as in {@code row.rs}. With any
     * other number the value follows.
     */
    private static final byte FROM_RECORD = 1;

    private static final byte FROM_PICTURE = 2;

    /** A header, as Spark's Kafka sink takes it. */
    private static final StructType HEADER = new StructType()
            .add("key", DataTypes.StringType, false)
            .add("value", DataTypes.BinaryType);

    /** A record to publish, with the columns that Spark's Kafka sink takes. */
    private static final StructType RECORD = new StructType()
            .add("topic", DataTypes.StringType)
            .add("key", DataTypes.BinaryType)
            .add("value", DataTypes.BinaryType)
            .add("headers", DataTypes.createArrayType(HEADER));

    static final StructType SCHEMA = new StructType()
            .add("status", DataTypes.StringType, false)
            .add("camera", DataTypes.StringType)
            .add("frame", DataTypes.LongType)
            .add("taken_us", DataTypes.LongType)
            .add("latency_ms", DataTypes.DoubleType)
            .add("width", DataTypes.IntegerType)
            .add("height", DataTypes.IntegerType)
            .add("bytes", DataTypes.LongType)
            .add("path", DataTypes.StringType)
            .add("code", DataTypes.StringType)
            .add("error", DataTypes.StringType)
            .add("picture", DataTypes.BinaryType)
            .add("headers", DataTypes.createArrayType(HEADER))
            .add("publish", DataTypes.createArrayType(RECORD))
            .add("differs", DataTypes.BooleanType, false);

    /**
     * Reads the bytes of {@code ResultRow::to_bytes}.
     *
     * @param value the value of the record that the row belongs to
     */
    static Row read(byte[] bytes, byte[] value) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Long frame = number(in);
        Long taken = number(in);
        Long latency = number(in);
        Long size = number(in);
        int width = in.getInt();
        int height = in.getInt();
        boolean differs = in.get() != 0;
        String status = text(in);
        String camera = text(in);
        String path = text(in);
        String code = text(in);
        String error = text(in);
        Double latencyMs = latency == null ? null : latency / 1000.0;
        byte[] picture = part(in);
        Row[] headers = headers(in);
        return RowFactory.create(
                status, camera, frame, taken, latencyMs, width, height, size, path, code, error,
                picture, headers, publish(in, value, picture), differs);
    }

    private static Row[] publish(ByteBuffer in, byte[] value, byte[] picture) {
        Row[] records = new Row[in.getInt()];
        for (int i = 0; i < records.length; i++) {
            String topic = text(in);
            byte[] key = part(in);
            byte[] sent = switch (in.get()) {
                case FROM_RECORD -> value;
                case FROM_PICTURE -> picture;
                default -> part(in);
            };
            records[i] = RowFactory.create(topic, key, sent, headers(in));
        }
        return records;
    }

    private static Row[] headers(ByteBuffer in) {
        Row[] headers = new Row[in.getInt()];
        for (int i = 0; i < headers.length; i++) {
            String name = text(in);
            headers[i] = RowFactory.create(name, part(in));
        }
        return headers;
    }

    private static Long number(ByteBuffer in) {
        long number = in.getLong();
        return number == Long.MIN_VALUE ? null : number;
    }

    private static String text(ByteBuffer in) {
        byte[] text = part(in);
        return text == null ? null : new String(text, StandardCharsets.UTF_8);
    }

    private static byte[] part(ByteBuffer in) {
        int length = in.getInt();
        if (length < 0) {
            return null;
        }
        byte[] part = new byte[length];
        in.get(part);
        return part;
    }
}
