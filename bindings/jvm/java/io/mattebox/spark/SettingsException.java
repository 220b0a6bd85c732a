package io.mattebox.spark;

/** A setting cannot be used. To run the task again does not help. */
public final class SettingsException extends MatteboxException {
    private static final long serialVersionUID = 1;

    public SettingsException(String message) {
        super(message);
    }
}
