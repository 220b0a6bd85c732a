//! Any bytes as a model file: reading and describing it give a value or an error, never a panic.
//!
//! ```text
//! mkdir -p fuzz/corpus/tflite && cp crates/net/model/*.tflite fuzz/corpus/tflite
//! cargo +nightly fuzz run tflite -- -max_len=300000 -max_total_time=60
//! ```
#![no_main]
use libfuzzer_sys::fuzz_target;
use mattebox_net::{Model, describe};

fuzz_target!(|bytes: &[u8]| {
    let model = Model::from_bytes(bytes);
    let description = describe(bytes);
    match (&model, &description) {
        (Ok(model), Ok(description)) => {
            assert!(description.problem.is_none());
            assert_eq!(model.sha256(), description.sha256);
        }
        (Ok(_), Err(error)) => panic!("it runs but cannot be described: {error}"),
        (Err(error), Ok(description)) => assert_eq!(description.problem.as_ref(), Some(error)),
        (Err(_), Err(_)) => {}
    }
    if let Ok(description) = description {
        assert!(!description.to_string().is_empty());
    }
});
