//! Promises about memory: a run allocates nothing, and reading a hostile file allocates little.
use mattebox_net::{Executor, GENERAL, LANDSCAPE, Model, SimdLevel, describe};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, sync::Arc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs without the test harness, whose threads allocate too: the allocator counts all threads
/// together.
fn main() {
    for bytes in [GENERAL, LANDSCAPE] {
        let model = Arc::new(Model::from_bytes(bytes).unwrap());
        let pixels = model.input_width() * model.input_height();
        let input = vec![0.5f32; pixels * 3];
        let mut out = vec![0f32; pixels];
        for level in SimdLevel::available() {
            let mut executor = Executor::new(&model, level).unwrap();
            let region = Region::new(ALLOCATOR);
            executor.run(&input, &mut out);
            executor.run(&input, &mut out);
            let change = region.change();
            assert_eq!(
                (change.allocations, change.reallocations),
                (0, 0),
                "{level}"
            );
        }
        reading_stays_small(bytes);
    }
    println!("test runs_allocate_nothing_and_hostile_files_little ... ok");
}

/// Sets words of the file, lengths and sizes among them, to extreme values, and checks how much
/// reading allocates.
fn reading_stays_small(file: &[u8]) {
    const SANE: usize = 24 << 20;
    let mut bytes = file.to_vec();
    for at in (0..file.len() / 4)
        .step_by(97)
        .chain(0..64)
        .map(|word| word * 4)
    {
        for value in [u32::MAX, 0x7fff_ffff, 0x0001_0000, 4096] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let region = Region::new(ALLOCATOR);
            let _ = Model::from_bytes(&bytes);
            let _ = describe(&bytes);
            let allocated = region.change().bytes_allocated;
            assert!(
                allocated < SANE,
                "{allocated} bytes with {value:#x} at byte {at}"
            );
        }
        bytes[at..at + 4].copy_from_slice(&file[at..at + 4]);
    }
}
