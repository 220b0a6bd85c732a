//! A reader of FlatBuffers that trusts nothing: it checks every offset, length and alignment before
//! it follows it.
//!
//! It reads the parts that a `.tflite` file has: tables, scalars, strings and vectors. It copies
//! nothing, and allocates only the list of tables in [`Table::tables`], whose entries take 4 bytes
//! each in the file. Nothing recurses: callers descend a fixed number of levels, so offsets that
//! form a circle do no harm. Format: <https://flatbuffers.dev/internals/>.
use super::ModelError;

/// A table inside a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    file: &'a [u8],
    at: usize,
    vtable: &'a [u8],
    /// Length of the table's inline part.
    len: usize,
}

/// A vector of 32-bit integers in a file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ints<'a>(&'a [u8]);

impl<'a> Ints<'a> {
    /// The number of integers.
    pub(super) fn len(self) -> usize {
        self.0.len() / 4
    }

    /// The integers in order.
    pub(super) fn iter(self) -> impl Iterator<Item = i32> + 'a {
        self.0
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| i32::from_le_bytes(*b))
    }
}

/// `N` bytes at `at`, which must be a multiple of the alignment `N`.
fn scalar<const N: usize>(
    file: &[u8],
    at: usize,
    what: &'static str,
) -> Result<[u8; N], ModelError> {
    let bytes = file.get(at..).and_then(|b| b.first_chunk::<N>());
    bytes
        .copied()
        .filter(|_| at.is_multiple_of(N))
        .ok_or(ModelError::Damaged { what, at })
}

/// Follows the unsigned offset stored at `at`.
fn follow(file: &[u8], at: usize, what: &'static str) -> Result<usize, ModelError> {
    let offset = u32::from_le_bytes(scalar(file, at, what)?) as usize;
    at.checked_add(offset)
        .filter(|to| offset != 0 && *to < file.len())
        .ok_or(ModelError::Damaged { what, at })
}

/// The items of the vector at `at`, `size` bytes each.
fn items<'a>(
    file: &'a [u8],
    at: usize,
    size: usize,
    what: &'static str,
) -> Result<&'a [u8], ModelError> {
    let damaged = ModelError::Damaged { what, at };
    let count = u32::from_le_bytes(scalar(file, at, what)?) as usize;
    let bytes = count.checked_mul(size).ok_or(damaged.clone())?;
    file.get(at + 4..)
        .and_then(|rest| rest.get(..bytes))
        .ok_or(damaged)
}

impl<'a> Table<'a> {
    /// The root table of a file.
    pub(super) fn root(file: &'a [u8]) -> Result<Self, ModelError> {
        Self::at(file, follow(file, 0, "root table")?, "root table")
    }

    fn at(file: &'a [u8], at: usize, what: &'static str) -> Result<Self, ModelError> {
        let damaged = ModelError::Damaged { what, at };
        let back = i64::from(i32::from_le_bytes(scalar(file, at, what)?));
        let vtable = usize::try_from(at as i64 - back).map_err(|_| damaged.clone())?;
        let size = usize::from(u16::from_le_bytes(scalar(file, vtable, what)?));
        let len = usize::from(u16::from_le_bytes(scalar(file, vtable + 2, what)?));
        let vtable = file.get(vtable..).and_then(|rest| rest.get(..size));
        match vtable {
            Some(vtable) if size >= 4 && size % 2 == 0 && len >= 4 && len <= file.len() - at => {
                Ok(Table {
                    file,
                    at,
                    vtable,
                    len,
                })
            }
            _ => Err(damaged),
        }
    }

    /// Position of a field of `size` bytes; `None` if the table leaves it out.
    fn field(
        &self,
        id: usize,
        size: usize,
        what: &'static str,
    ) -> Result<Option<usize>, ModelError> {
        let Some(slot) = self.vtable.get(4 + 2 * id..6 + 2 * id) else {
            return Ok(None);
        };
        let offset = usize::from(u16::from_le_bytes([slot[0], slot[1]]));
        match offset {
            0 => Ok(None),
            4.. if offset + size <= self.len => Ok(Some(self.at + offset)),
            _ => Err(ModelError::Damaged { what, at: self.at }),
        }
    }

    fn number<const N: usize>(
        &self,
        id: usize,
        what: &'static str,
    ) -> Result<Option<[u8; N]>, ModelError> {
        self.field(id, N, what)?
            .map(|at| scalar(self.file, at, what))
            .transpose()
    }

    /// A byte; 0 if it is left out.
    pub(super) fn u8(&self, id: usize, what: &'static str) -> Result<u8, ModelError> {
        Ok(self.number::<1>(id, what)?.map_or(0, |b| b[0]))
    }

    /// A truth value; false if it is left out. Other bytes than 0 and 1 are an error.
    pub(super) fn bool(&self, id: usize, what: &'static str) -> Result<bool, ModelError> {
        match self.u8(id, what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ModelError::Damaged { what, at: self.at }),
        }
    }

    /// A 32-bit integer; `default` if it is left out.
    pub(super) fn i32(
        &self,
        id: usize,
        default: i32,
        what: &'static str,
    ) -> Result<i32, ModelError> {
        Ok(self.number(id, what)?.map_or(default, i32::from_le_bytes))
    }

    /// An unsigned 64-bit integer; 0 if it is left out.
    pub(super) fn u64(&self, id: usize, what: &'static str) -> Result<u64, ModelError> {
        Ok(self.number(id, what)?.map_or(0, u64::from_le_bytes))
    }

    fn target(&self, id: usize, what: &'static str) -> Result<Option<usize>, ModelError> {
        self.field(id, 4, what)?
            .map(|at| follow(self.file, at, what))
            .transpose()
    }

    /// A table; `None` if it is left out.
    pub(super) fn table(
        &self,
        id: usize,
        what: &'static str,
    ) -> Result<Option<Table<'a>>, ModelError> {
        self.target(id, what)?
            .map(|at| Table::at(self.file, at, what))
            .transpose()
    }

    /// A vector of bytes; empty if it is left out.
    pub(super) fn bytes(&self, id: usize, what: &'static str) -> Result<&'a [u8], ModelError> {
        self.target(id, what)?
            .map_or(Ok(&[][..]), |at| items(self.file, at, 1, what))
    }

    /// A vector of 32-bit integers; empty if it is left out.
    pub(super) fn ints(&self, id: usize, what: &'static str) -> Result<Ints<'a>, ModelError> {
        Ok(Ints(
            self.target(id, what)?
                .map_or(Ok(&[][..]), |at| items(self.file, at, 4, what))?,
        ))
    }

    /// A string; empty if it is left out.
    pub(super) fn string(&self, id: usize, what: &'static str) -> Result<&'a str, ModelError> {
        std::str::from_utf8(self.bytes(id, what)?)
            .map_err(|_| ModelError::Damaged { what, at: self.at })
    }

    /// A vector of at most `max` tables; empty if it is left out.
    pub(super) fn tables(
        &self,
        id: usize,
        max: usize,
        what: &'static str,
    ) -> Result<Vec<Table<'a>>, ModelError> {
        let Some(at) = self.target(id, what)? else {
            return Ok(Vec::new());
        };
        let count = items(self.file, at, 4, what)?.len() / 4;
        if count > max {
            return Err(ModelError::Refused(format!(
                "it has {count} entries in its {what}s, more than {max}"
            )));
        }
        (0..count)
            .map(|i| Table::at(self.file, follow(self.file, at + 4 + 4 * i, what)?, what))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One table with the fields 7u8, -2i32, (left out), [1, 2, 3], "ab".
    fn sample() -> Vec<u8> {
        let mut f = vec![24, 0, 0, 0];
        f.extend(*b"TFL3");
        // vtable at 8: size, table size, five slots
        f.extend([14u8, 0, 20, 0, 16, 0, 4, 0, 0, 0, 8, 0, 12, 0]);
        f.extend([0, 0]); // alignment
        f.extend(16i32.to_le_bytes()); // table at 24, its vtable is at 24 - 16
        f.extend((-2i32).to_le_bytes());
        f.extend(12u32.to_le_bytes()); // 32 -> 44
        f.extend(24u32.to_le_bytes()); // 36 -> 60
        f.extend([7, 0, 0, 0]);
        for v in [3, 1, 2, 3] {
            f.extend(i32::to_le_bytes(v));
        }
        f.extend([2, 0, 0, 0, b'a', b'b', 0, 0]);
        f
    }

    #[test]
    fn reads_every_kind_of_field() {
        let file = sample();
        let t = Table::root(&file).unwrap();
        assert_eq!(t.u8(0, "a").unwrap(), 7);
        assert_eq!(t.i32(1, 9, "b").unwrap(), -2);
        assert_eq!(
            t.i32(2, 9, "c").unwrap(),
            9,
            "a field left out has its default"
        );
        assert_eq!(
            t.ints(3, "d").unwrap().iter().collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert_eq!(t.string(4, "e").unwrap(), "ab");
        assert_eq!(
            t.i32(99, 5, "f").unwrap(),
            5,
            "a field that the writer did not know has its default"
        );
        assert!(t.bool(0, "g").is_err(), "7 is no truth value");
    }

    #[test]
    fn every_cut_is_an_error() {
        let file = sample();
        for len in 0..66 {
            let cut = &file[..len];
            let read = Table::root(cut).and_then(|t| {
                t.ints(3, "d")?;
                t.string(4, "e")
            });
            assert!(read.is_err(), "cut to {len} bytes");
        }
    }

    #[test]
    fn lengths_and_offsets_that_leave_the_file_are_errors() {
        for at in [0, 8, 10, 24, 32, 36, 44, 60] {
            let mut file = sample();
            file[at + 1] = 0xff;
            file[at] = 0xfc;
            let read = Table::root(&file).and_then(|t| {
                t.ints(3, "d")?;
                t.string(4, "e")
            });
            assert!(read.is_err(), "byte {at}");
        }
    }
}
