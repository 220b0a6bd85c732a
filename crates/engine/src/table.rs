//! Plain tables for summaries: no lines, numbers aligned to the right.
use comfy_table::{CellAlignment, Table, presets};

/// A table whose columns, except the first, are aligned to the right.
pub fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
