//! Files that were cut short or changed give an error, never a panic and never another network.
use super::{
    GENERAL, LANDSCAPE, Model, ModelDescription, ModelError, describe, tflite::TfliteFile,
};

/// The bytes of constants and strings, where a change cannot be noticed.
fn is_content(file: &[u8]) -> Vec<bool> {
    let parsed = TfliteFile::read(file).unwrap();
    let mut content = vec![false; file.len()];
    let names = parsed.tensors.iter().map(|t| t.name.as_bytes());
    for part in parsed
        .tensors
        .iter()
        .map(|t| t.data)
        .chain(names)
        .chain([parsed.description.as_bytes()])
    {
        if !part.is_empty() {
            let start = part.as_ptr() as usize - file.as_ptr() as usize;
            content[start..start + part.len()].fill(true);
        }
    }
    content
}

#[test]
fn a_file_cut_short_is_an_error() {
    for file in [GENERAL, LANDSCAPE] {
        let near_the_ends = (0..300).chain(file.len() - 300..file.len());
        for len in near_the_ends.chain((0..file.len()).step_by(499)) {
            let error = Model::from_bytes(&file[..len]).map(|_| ()).unwrap_err();
            assert!(
                matches!(error, ModelError::NotTflite | ModelError::Damaged { .. }),
                "cut to {len} bytes: {error}"
            );
            assert!(describe(&file[..len]).is_err());
        }
    }
}

/// The description without size, hash and names, which any change may change.
fn structure(file: &[u8]) -> ModelDescription {
    let mut d = describe(file).unwrap();
    d.inputs
        .iter_mut()
        .chain(&mut d.outputs)
        .for_each(|t| t.name.clear());
    ModelDescription {
        text: String::new(),
        sha256: String::new(),
        built_in: None,
        ..d
    }
}

#[test]
fn one_changed_byte_is_an_error_or_changes_nothing_but_numbers() {
    for file in [GENERAL, LANDSCAPE] {
        let content = is_content(file);
        let original = structure(file);
        let mut refused = 0;
        let mut accepted = 0;
        let mut bytes = file.to_vec();
        let outside = (0..file.len()).filter(|at| !content[*at]).step_by(23);
        let inside = (0..file.len()).filter(|at| content[*at]).step_by(1499);
        for (i, at) in outside.chain(inside).enumerate() {
            bytes[at] ^= [0xff, 1 << (i % 8), 0x80][i % 3];
            match Model::from_bytes(&bytes) {
                Ok(_) => {
                    assert_eq!(
                        structure(&bytes),
                        original,
                        "byte {at} changed to {:#04x}",
                        bytes[at]
                    );
                    accepted += usize::from(!content[at]);
                }
                Err(error) => {
                    refused += usize::from(!content[at]);
                    // either the tables are broken, or the description names the problem
                    assert_eq!(
                        describe(&bytes).map_or_else(Some, |d| d.problem),
                        Some(error)
                    );
                }
            }
            bytes[at] = file[at];
        }
        // The accepted changes are in names, versions, alignment, and fields that do not describe
        // the network.
        println!("changes outside of constants and names: {refused} refused, {accepted} harmless");
        assert!(
            refused > 500 && refused > accepted,
            "{refused} refused, {accepted} accepted"
        );
    }
}

#[test]
fn unknown_operators_are_named() {
    // the code of HARD_SWISH, which two fields hold, becomes that of another operator
    let file = TfliteFile::read(GENERAL).unwrap();
    let known = file
        .operators
        .iter()
        .position(|o| o.name() == "HARD_SWISH")
        .unwrap();
    let mut found = false;
    for at in 0..GENERAL.len() {
        if GENERAL[at] == 117 {
            let mut bytes = GENERAL.to_vec();
            bytes[at] = 119; // WHILE: the larger of both fields counts
            let error = Model::from_bytes(&bytes).err();
            let is_refused = matches!(
                &error,
                Some(ModelError::Unsupported { index, name }) if *index == known && name == "WHILE"
            );
            if is_refused {
                let description = describe(&bytes).unwrap();
                assert!(description.operators.iter().any(|o| !o.supported));
                assert!(description.to_string().contains("(not supported)"));
                found = true;
            }
        }
    }
    assert!(found, "no byte made HARD_SWISH into another operator");
}
