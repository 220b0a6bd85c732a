//! Sources of a picture's rows, band by band.
use super::grow;
use crate::compose::ComposedRows;

/// A picture that gives its rows: first some for the sample, then all from top to bottom.
pub(in crate::codec) trait RowSource {
    /// The row above row `from` (zeros above the first), and the rows `from..to`. `to` is greater.
    fn band(&mut self, from: usize, to: usize) -> (&[u8], &[u8]);
}

/// A picture in memory.
pub(in crate::codec) struct StoredRows<'a> {
    samples: &'a [u8],
    /// Bytes of a row.
    row: usize,
    zeros: &'a [u8],
}

impl<'a> StoredRows<'a> {
    /// Rows of `row` bytes. Grows `zeros` to such a row.
    pub(in crate::codec) fn new(samples: &'a [u8], row: usize, zeros: &'a mut Vec<u8>) -> Self {
        grow(zeros, row);
        StoredRows {
            samples,
            row,
            zeros: &zeros[..row],
        }
    }
}

impl RowSource for StoredRows<'_> {
    fn band(&mut self, from: usize, to: usize) -> (&[u8], &[u8]) {
        let above = match from {
            0 => self.zeros,
            _ => &self.samples[(from - 1) * self.row..from * self.row],
        };
        (above, &self.samples[from * self.row..to * self.row])
    }
}

/// A picture that is composed while it is encoded.
pub(in crate::codec) struct ComposingRows<'a, 'b> {
    rows: &'a mut ComposedRows<'b>,
    /// Bytes of a row.
    row: usize,
    /// The last band, and the row above it.
    buffer: &'a mut Vec<u8>,
    /// The rows of that band.
    from: usize,
    to: usize,
}

impl<'a, 'b> ComposingRows<'a, 'b> {
    /// Rows of `row` bytes each.
    pub(in crate::codec) fn new(
        rows: &'a mut ComposedRows<'b>,
        row: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Self {
        ComposingRows {
            rows,
            row,
            buffer,
            from: 0,
            to: 0,
        }
    }
}

impl RowSource for ComposingRows<'_, '_> {
    fn band(&mut self, from: usize, to: usize) -> (&[u8], &[u8]) {
        let row = self.row;
        let len = (to - from + 1) * row;
        grow(self.buffer, len);
        if from == 0 {
            self.buffer[..row].fill(0);
        } else if from == self.to && self.from < self.to {
            let last = (self.to - self.from) * row;
            self.buffer.copy_within(last..last + row, 0);
        } else {
            self.rows.write(from - 1..from, &mut self.buffer[..row]);
        }
        self.rows.write(from..to, &mut self.buffer[row..len]);
        (self.from, self.to) = (from, to);
        self.buffer[..len].split_at(row)
    }
}
