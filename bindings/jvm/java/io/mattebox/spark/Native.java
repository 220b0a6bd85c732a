package io.mattebox.spark;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;

/** The core: a native library inside this jar, unpacked and loaded once per class loader. */
final class Native {
    private Native() {}

    static {
        String name = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        String system = name.replaceAll("[^a-z].*", "");
        String file = System.mapLibraryName("mattebox_jvm");
        String resource = "/native/" + system + "-" + System.getProperty("os.arch") + "/" + file;
        try (InputStream library = Native.class.getResourceAsStream(resource)) {
            if (library == null) {
                throw new UnsatisfiedLinkError(
                        "this jar of mattebox has no native library for this machine: " + resource);
            }
            Path copy = Files.createTempFile("mattebox-", "-" + file);
            try {
                Files.copy(library, copy, StandardCopyOption.REPLACE_EXISTING);
                System.load(copy.toString());
            } finally {
                // The library stays loaded, and no file is left behind, not even after kill -9.
                Files.deleteIfExists(copy);
            }
        } catch (IOException e) {
            throw new MatteboxException(
                    "cannot unpack the native library of mattebox into java.io.tmpdir", e);
        }
    }

    /**
     * Checks settings as {@link #open} does: reads them and the files that they name, and looks who
     * owns the output folder. It creates nothing.
     */
    static native void check(String settings);

    /**
     * Opens an engine for settings in JSON. The same settings and query give the same engine.
     *
     * @param query the id of the streaming query; null where there is none
     */
    static native long open(String settings, String query);

    /**
     * Processes a record.
     *
     * @return the row, for {@link Result#read}; null if the engine first needs the camera states of
     *     that offset: {@link #listStates}
     */
    static native byte[] frame(
            long engine,
            String topic,
            int partition,
            long offset,
            long task,
            byte[] key,
            byte[] value,
            byte[] headers);

    /**
     * The folder of a partition's camera states beside the checkpoint: two levels below the folder
     * that the settings name.
     *
     * @return null if the states are files of the output folder
     */
    static native String stateFolder(long engine, String topic, int partition);

    /**
     * Gives the engine the names of the objects in {@link #stateFolder}, for a task that begins at
     * {@code offset}.
     *
     * @return the name of the first object to read; null if none is needed
     */
    static native String listStates(
            long engine, String topic, int partition, long offset, long task, String[] names);

    /**
     * Gives the engine the bytes of an object that it asked for.
     *
     * @param bytes null if the object is gone
     * @return the name of the next object to read; null if none is needed any more
     */
    static native String readState(
            long engine,
            String topic,
            int partition,
            long offset,
            long task,
            String name,
            byte[] bytes);

    /**
     * Stores the states of a partition's cameras after a task that succeeded.
     *
     * @return an object to create in {@link #stateFolder} before {@link #stored} is called: whether
     *     to sync it (a byte), the length of its name (an int), its name, its bytes; null if
     *     everything is stored already
     */
    static native byte[] complete(long engine, String topic, int partition, long task);

    /**
     * Tells the engine that the object of {@link #complete} exists.
     *
     * @return the names of the objects that no task can need any more, separated by {@code /}; null
     *     for none
     */
    static native String stored(long engine, String topic, int partition, long task);
}
