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
 * What is remembered of cameras, beside the query's checkpoint: objects on any file system that Hadoop knows. They are created under their own
 * names, never renamed and never changed. What is in them, and which are read and removed, the core decides.
 */
final class States {
    private States() {}

    /** They hold tiny gray copies of rooms. */
    private static final FsPermission PRIVATE = new FsPermission((short) 0700);

    private static final String HADOOP = "spark.hadoop.";

    private record Known(SparkEnv spark, Configuration settings) {}

    /** To read the settings takes longer than to write an object. */
    private static volatile Known known;

    /** Gives the core what it needs of a partition before the record at {@code offset}. */
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

    /** A task has ended well: stores what the core remembers, and returns only when it is there. */
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

    /** The folders of a path of this machine may be new, as the object is. */
    private static void syncFolders(Path folder) throws IOException {
        java.nio.file.Path path = java.nio.file.Path.of(folder.toUri().getPath());
        for (int depth = 0; depth < 3 && path != null; depth++, path = path.getParent()) {
            try (FileChannel entries = FileChannel.open(path)) {
                entries.force(true);
            }
        }
    }

    /** What cannot be removed is no harm: no task reads it any more. */
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
            // The folder of all partitions is made by the driver. Where it is missing, this machine sees another one than the driver does.
            Path root = folder.getParent().getParent();
            if (!files.exists(root)) {
                throw new SettingsException("setting state_dir: there is no " + plain(root) + " on " + host()
                        + ": the checkpoint must be in a folder that the driver and all executors see, as on HDFS, S3 or a shared disk");
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
            // The core says so, and goes on without it.
            return new byte[0];
        }
    }

    private static FileSystem files(Path folder) throws IOException {
        Known now = known;
        SparkEnv spark = SparkEnv.get();
        if (now == null || now.spark != spark) {
            now = new Known(spark, settings(spark));
            known = now;
        }
        FileSystem files = folder.getFileSystem(now.settings);
        // Objects have a checksum of their own; and with a second one the file system of this machine cannot bring a file to the disk.
        return files instanceof ChecksumFileSystem twice ? twice.getRawFileSystem() : files;
    }

    /** What the file systems were told on the driver, as executors know it. */
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

    private static MatteboxException failed(String what, Path folder, IOException e) {
        return new MatteboxException("cannot " + what + " camera states in " + plain(folder) + ": " + e.getMessage(), e);
    }

    /** Without a user and a password. */
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
