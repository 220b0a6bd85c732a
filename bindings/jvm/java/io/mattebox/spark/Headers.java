package io.mattebox.spark;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.Row;
import scala.collection.Seq;

/**
 * Packs a record's headers for the core: the name and the value of each header, each with its
 * length in front, -1 for none.
 */
final class Headers {
    private Headers() {}

    static byte[] pack(Seq<Row> headers) {
        if (headers == null || headers.isEmpty()) {
            return new byte[0];
        }
        byte[][] parts = new byte[2 * headers.length()][];
        int size = 0;
        for (int i = 0; i < headers.length(); i++) {
            Row header = headers.apply(i);
            String name = header.getString(0);
            parts[2 * i] = name == null ? null : name.getBytes(StandardCharsets.UTF_8);
            parts[2 * i + 1] = header.getAs(1);
        }
        for (byte[] part : parts) {
            size += Integer.BYTES + (part == null ? 0 : part.length);
        }
        ByteBuffer out = ByteBuffer.allocate(size);
        for (byte[] part : parts) {
            out.putInt(part == null ? -1 : part.length);
            if (part != null) {
                out.put(part);
            }
        }
        return out.array();
    }
}
