package io.mattebox.spark;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** What became of one record. */
final class Result {
    private Result() {}

    private static final String[] STATUS = {"written", "kept", "dead"};

    /** A header, as Spark's Kafka sink takes it. */
    private static final StructType HEADER = new StructType()
            .add("key", DataTypes.StringType, false)
            .add("value", DataTypes.BinaryType);

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
            .add("headers", DataTypes.createArrayType(HEADER));

    /** Reads what {@code Row::to_bytes} wrote. */
    static Row read(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        String status = STATUS[in.get()];
        Long frame = number(in);
        Long taken = number(in);
        Long latency = number(in);
        Long size = number(in);
        int width = in.getInt();
        int height = in.getInt();
        String camera = text(in);
        String path = text(in);
        String code = text(in);
        String error = text(in);
        Double latencyMs = latency == null ? null : latency / 1000.0;
        byte[] picture = part(in);
        return RowFactory.create(
                status, camera, frame, taken, latencyMs, width, height, size, path, code, error, picture, headers(in));
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
