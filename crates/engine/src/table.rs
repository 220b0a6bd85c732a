//! Tables as the sums at the end are printed: no lines, numbers to the right.
use comfy_table::{CellAlignment, Table, presets};

/// A table whose columns but the first are aligned to the right.
pub fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
