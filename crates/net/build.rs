//! Fails with a clear message if the built-in networks are missing.
use std::{env, path::Path};

const NETWORKS: [&str; 2] = [
    "selfie_segmentation.tflite",
    "selfie_segmentation_landscape.tflite",
];

fn main() {
    let folder = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("model");
    for name in NETWORKS {
        let path = folder.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        if !path.is_file() {
            println!(
                "cargo::error=the network {} is missing; run `make model` to fetch it \
                 (scripts/get-model says from where)",
                path.display()
            );
        }
    }
}
