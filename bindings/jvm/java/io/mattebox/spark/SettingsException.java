package io.mattebox.spark;

/** A setting cannot be used: the same happens again, however often the task is done. */
public final class SettingsException extends MatteboxException {
    private static final long serialVersionUID = 1;

    public SettingsException(String message) {
        super(message);
    }
}
