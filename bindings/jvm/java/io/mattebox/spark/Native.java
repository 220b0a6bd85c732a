package io.mattebox.spark;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;

/** The core, as a native library inside this jar. It is unpacked and loaded once per class loader. */
final class Native {
    private Native() {}

    static {
        String system = System.getProperty("os.name").toLowerCase(Locale.ROOT).replaceAll("[^a-z].*", "");
        String file = System.mapLibraryName("mattebox_jvm");
        String resource = "/native/" + system + "-" + System.getProperty("os.arch") + "/" + file;
        try (InputStream library = Native.class.getResourceAsStream(resource)) {
            if (library == null) {
                throw new UnsatisfiedLinkError("this jar of mattebox has no native library for this machine: " + resource);
            }
            Path copy = Files.createTempFile("mattebox-", "-" + file);
            try {
                Files.copy(library, copy, StandardCopyOption.REPLACE_EXISTING);
                System.load(copy.toString());
            } finally {
                // What is loaded stays loaded, and nothing is left behind, not even after kill -9.
                Files.deleteIfExists(copy);
            }
        } catch (IOException e) {
            throw new MatteboxException("cannot unpack the native library of mattebox into java.io.tmpdir", e);
        }
    }

    /** Reads settings and the files that they name, and looks whose the output folder is, as {@link #open} does, and makes nothing. */
    static native void check(String settings);

    /**
     * An engine for settings in JSON: the same one for the same settings and query.
     *
     * @param query the id of the streaming query; null where there is none
     */
    static native long open(String settings, String query);

    /**
     * A record's row, for {@link Result#read}.
     *
     * @return null where the camera states of that offset are needed first: {@link #listStates}
     */
    static native byte[] frame(
            long engine, String topic, int partition, long offset, long task, byte[] key, byte[] value, byte[] headers);

    /**
     * Where the camera states of a partition lie beside the checkpoint, two folders below that of the settings.
     *
     * @return null where they are files of the output folder
     */
    static native String stateFolder(long engine, String topic, int partition);

    /**
     * The names of the objects in {@link #stateFolder}, for a task that begins at {@code offset}.
     *
     * @return the name of the first to read; null where none is needed any more
     */
    static native String listStates(long engine, String topic, int partition, long offset, long task, String[] names);

    /**
     * What an object holds that was asked for.
     *
     * @param bytes null where it is gone
     * @return the name of the next to read; null where none is needed any more
     */
    static native String readState(long engine, String topic, int partition, long offset, long task, String name, byte[] bytes);

    /**
     * A task has ended well: what is remembered of its partition's cameras is stored.
     *
     * @return an object to create in {@link #stateFolder}, before {@link #stored} is called: whether it is to be synced (a byte), the length of
     *     its name (an int), its name, what it holds; null where everything is done
     */
    static native byte[] complete(long engine, String topic, int partition, long task);

    /**
     * The object is there.
     *
     * @return the names of those that no task can need any more, separated by {@code /}; null for none
     */
    static native String stored(long engine, String topic, int partition, long task);
}
