package io.mattebox.spark;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.ChecksumException;
import org.apache.hadoop.fs.ChecksumFileSystem;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.StreamCapabilities;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.spark.SparkEnv;
import scala.Tuple2;

/**
 * Camera states beside the query's checkpoint: objects on any file system that Hadoop knows. An
 * object is created under its final name, and never renamed or changed. The core decides on the
 * contents of objects, and on those to read and to remove.
 */
final class States {
    private States() {}

    /** The objects hold tiny gray copies of rooms. */
    private static final FsPermission PRIVATE = new FsPermission((short) 0700);

    private static final String HADOOP = "spark.hadoop.";

    private record HadoopSettings(SparkEnv spark, Configuration settings) {}

    /** Kept because reading the settings takes longer than writing an object. */
    private static volatile HadoopSettings known;

    /** Gives the core the states that it needs before the record at {@code offset}. */
    static void load(long engine, String topic, int partition, long offset, long task) {
        Path folder = new Path(Native.stateFolder(engine, topic, partition));
        try {
            FileSystem files = files(folder);
            String[] names = list(files, folder);
            String name = Native.listStates(engine, topic, partition, offset, task, names);
            while (name != null) {
                byte[] bytes = read(files, new Path(folder, name));
                name = Native.readState(engine, topic, partition, offset, task, name, bytes);
            }
        } catch (IOException e) {
            throw failed("read", folder, e);
        }
    }

    /** Stores the states after a task that succeeded. Returns only when the object exists. */
    static void store(long engine, String topic, int partition, long task) {
        byte[] packed = Native.complete(engine, topic, partition, task);
        if (packed == null) {
            return;
        }
        ByteBuffer in = ByteBuffer.wrap(packed);
        boolean sync = in.get() != 0;
        byte[] text = new byte[in.getInt()];
        in.get(text);
        String name = new String(text, StandardCharsets.UTF_8);
        Path folder = new Path(Native.stateFolder(engine, topic, partition));
        try {
            FileSystem files = files(folder);
            files.mkdirs(folder, PRIVATE);
            try (FSDataOutputStream out = files.create(new Path(folder, name), false)) {
                out.write(packed, in.position(), in.remaining());
                if (sync && out.hasCapability(StreamCapabilities.HSYNC)) {
                    out.hsync();
                }
            }
            if (sync && files instanceof RawLocalFileSystem) {
                syncFolders(folder);
            }
            remove(files, folder, Native.stored(engine, topic, partition, task));
        } catch (IOException e) {
            throw failed("write", folder, e);
        }
    }

    /** Syncs the folders above an object, which may be new too. */
    private static void syncFolders(Path folder) throws IOException {
        java.nio.file.Path path = java.nio.file.Path.of(folder.toUri().getPath());
        for (int depth = 0; depth < 3 && path != null; depth++, path = path.getParent()) {
            try (FileChannel entries = FileChannel.open(path)) {
                entries.force(true);
            }
        }
    }

    /** Removes objects. One that cannot be removed does no harm: no task reads it any more. */
    private static void remove(FileSystem files, Path folder, String names) {
        if (names == null) {
            return;
        }
        for (String name : names.split("/")) {
            try {
                files.delete(new Path(folder, name), false);
            } catch (IOException e) {
                return;
            }
        }
    }

    private static String[] list(FileSystem files, Path folder) throws IOException {
        List<String> names = new ArrayList<>();
        try {
            for (FileStatus status : files.listStatus(folder)) {
                names.add(status.getPath().getName());
            }
        } catch (FileNotFoundException none) {
            // The driver creates the folder of all partitions. If it is missing here, this machine
            // does not see the driver's file system.
            Path root = folder.getParent().getParent();
            if (!files.exists(root)) {
                throw new SettingsException("setting state_dir: there is no " + plain(root)
                        + " on " + host() + ": the checkpoint must be in a folder that the driver"
                        + " and all executors see, as on HDFS, S3 or a shared disk");
            }
        }
        return names.toArray(new String[0]);
    }

    private static byte[] read(FileSystem files, Path path) throws IOException {
        try (FSDataInputStream in = files.open(path)) {
            return in.readAllBytes();
        } catch (FileNotFoundException gone) {
            return null;
        } catch (ChecksumException damaged) {
            // The core reports the damage and goes on without the object.
            return new byte[0];
        }
    }

    private static FileSystem files(Path folder) throws IOException {
        HadoopSettings now = known;
        SparkEnv spark = SparkEnv.get();
        if (now == null || now.spark != spark) {
            now = new HadoopSettings(spark, settings(spark));
            known = now;
        }
        FileSystem files = folder.getFileSystem(now.settings);
        // An object holds its own checksum, and with a second one Hadoop cannot sync a file on the
        // disk of this machine.
        return files instanceof ChecksumFileSystem twice ? twice.getRawFileSystem() : files;
    }

    /** The settings of file systems that the driver has, as Spark passes them to executors. */
    private static Configuration settings(SparkEnv spark) {
        Configuration settings = new Configuration();
        if (spark != null) {
            for (Tuple2<String, String> setting : spark.conf().getAll()) {
                if (setting._1().startsWith(HADOOP)) {
                    settings.set(setting._1().substring(HADOOP.length()), setting._2());
                }
            }
        }
        return settings;
    }

    private static MatteboxException failed(String action, Path folder, IOException e) {
        String text = "cannot " + action + " camera states in " + plain(folder) + ": ";
        return new MatteboxException(text + e.getMessage(), e);
    }

    /** The path without user and password. */
    private static String plain(Path path) {
        return path.toString().replaceAll("//[^/@]*@", "//***@");
    }

    /** The name of this machine, for people. */
    static String host() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException unknown) {
            return "a machine without a name";
        }
    }
}
