package io.mattebox.spark;

/** A task cannot go on: a file cannot be written, or a setting cannot be used. Spark does the task again. */
public final class MatteboxException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public MatteboxException(String message) {
        super(message);
    }

    MatteboxException(String message, Throwable cause) {
        super(message, cause);
    }
}
