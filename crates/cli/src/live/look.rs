//! What is made of a camera's frames, as it can be changed while it runs.
use crate::address::{MASK, harmless};
use mattebox_core::{
    compose::{BackgroundPicture, BackgroundSpec},
    matte::MatteMode,
};
use std::{fmt, path::Path, sync::Arc};

/// What is made of a frame, apart from its background. Cheap to compare: every thread keeps tools for each that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Treatment {
    /// Which matte.
    pub matte: MatteMode,
    /// Whether the old room's light is taken out of the edge.
    pub foreground_cleanup: bool,
    /// Whether the network is spared frames like the one before.
    pub skip_still: bool,
}

/// What stands behind the people.
#[derive(Debug, Clone)]
pub enum Behind {
    /// What settings can name.
    Spec(BackgroundSpec),
    /// A picture that was uploaded.
    Upload(Arc<BackgroundPicture>),
}

impl Behind {
    /// Whether both are the same.
    pub fn is_same(&self, other: &Behind) -> bool {
        match (self, other) {
            (Behind::Spec(a), Behind::Spec(b)) => a == b,
            (Behind::Upload(a), Behind::Upload(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Whether the result has no background at all.
    pub fn is_transparent(&self) -> bool {
        matches!(self, Behind::Spec(BackgroundSpec::Transparent))
    }
}

/// As settings name it, without folders: a page need not know where files are.
impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Behind::Upload(picture) => {
                let (width, height) = picture.dimensions();
                write!(f, "picture:{width}x{height}")
            }
            Behind::Spec(BackgroundSpec::Image(path)) => write!(f, "picture:{}", name(path)),
            Behind::Spec(BackgroundSpec::Video(path)) => write!(f, "video:{}", name(path)),
            Behind::Spec(spec) => spec.fmt(f),
        }
    }
}

/// The name of a file without its folder; of an address what may be shown of it.
fn name(path: &Path) -> String {
    let shown = harmless::path(path);
    match shown.contains("://") || shown.contains(MASK) {
        true => shown,
        false => path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    }
}

impl Look {
    /// Whether both ask for the same.
    pub fn is_same(&self, other: &Look) -> bool {
        self.behind.is_same(&other.behind) && self.treatment == other.treatment
    }
}

/// Everything that can be changed of a camera.
#[derive(Debug, Clone)]
pub struct Look {
    /// What stands behind the people.
    pub behind: Behind,
    /// What else is made of each frame.
    pub treatment: Treatment,
}
