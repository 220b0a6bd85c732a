package io.mattebox.spark;

/** A task cannot go on, for example because a file cannot be written. Spark runs the task again. */
public class MatteboxException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public MatteboxException(String message) {
        super(message);
    }

    MatteboxException(String message, Throwable cause) {
        super(message, cause);
    }
}
