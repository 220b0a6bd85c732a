//! The template for the names of a folder's frames: `OUT/.mattebox/template`. Without that file it
//! is the default template.
use crate::{
    error::StoreError,
    frame_tree::FrameTree,
    name_template::NameTemplate,
    owner::{OwnerError, create_private_folder},
    pending::{OnExisting, PendingFile},
};
use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

fn path(root: &Path) -> PathBuf {
    root.join(".mattebox").join("template")
}

/// The template of a folder.
pub fn of(root: &Path) -> Result<NameTemplate, StoreError> {
    let path = path(root);
    match fs::read_to_string(&path) {
        Ok(text) => text.trim_end().parse().map_err(|error| {
            StoreError::io("read", &path)(io::Error::new(ErrorKind::InvalidData, error))
        }),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(NameTemplate::default())
        }
        Err(error) => Err(StoreError::io("read", &path)(error)),
    }
}

/// Refuses a template while the folder holds frames with names of another one: a frame that is
/// processed again would have two files.
pub fn check(root: &Path, wanted: &NameTemplate) -> Result<(), OwnerError> {
    let found = of(root)?;
    if found == *wanted || !FrameTree::new(root, &found).any_holds_frames()? {
        return Ok(());
    }
    Err(OwnerError::OtherNames {
        folder: root.to_owned(),
        found: found.to_string(),
        wanted: wanted.to_string(),
    })
}

/// Checks a template, and stores it for every reader of the folder.
pub(crate) fn store(root: &Path, wanted: &NameTemplate) -> Result<(), OwnerError> {
    check(root, wanted)?;
    if of(root)? == *wanted {
        return Ok(());
    }
    let path = path(root);
    create_private_folder(path.parent().unwrap_or(root))?;
    let mut pending = PendingFile::create(&path)?;
    pending.write_all(format!("{wanted}\n").as_bytes())?;
    pending.commit(OnExisting::Overwrite, true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameDir, owner::FolderClaim, owner::Owner};
    use mattebox_core::frame::{FrameNumber, Timestamp};

    #[test]
    fn a_folder_with_frames_keeps_its_template() {
        let root = tempfile::tempdir().unwrap();
        let owner = Owner::Run {
            default_folder: false,
        };
        let claim = FolderClaim::take(root.path(), &owner).unwrap();
        let days: NameTemplate = "{camera}/{date}/{number}".parse().unwrap();
        let usual = NameTemplate::default();
        for names in [&usual, &days, &usual, &days] {
            claim.names(names).unwrap();
            assert_eq!(of(root.path()).unwrap(), *names);
        }
        let dir = FrameDir::open_named(root.path(), &"a".parse().unwrap(), &days).unwrap();
        let put = |number| {
            let number = FrameNumber(number);
            dir.write(number, Timestamp(0), "png", b"x", OnExisting::Fail)
                .unwrap();
        };
        put(0);
        claim.names(&days).unwrap();
        let error = claim.names(&usual).unwrap_err().to_string();
        assert!(
            error.contains("{camera}/{date}/{number}") && error.contains("--name"),
            "{error}"
        );
        dir.remove_frames().unwrap();
        claim.names(&usual).unwrap();
    }
}
