//! Settings of single cameras, from one file that is read again when it changes.
//!
//! ```toml
//! [door]
//! background = "blur"
//!
//! [yard]
//! matte = "hard"
//! background = "image:pictures/wall.jpg"
//! ```
//!
//! A camera has the common settings, except for the options in its table.
use crate::{
    BackgroundChoice, FrameSettings, ModelChoice, StartError,
    background::{BackgroundSourceError, BackgroundSources},
    files,
    settings::{SettingError, jpeg_quality, parse},
    stop::Stop,
};
use mattebox_core::{
    compose::BackgroundSpec,
    frame::{CameraId, CameraIdError},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};
use thiserror::Error;

/// The options that a single camera can have.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnOptions {
    background: Option<String>,
    matte: Option<String>,
    people: Option<String>,
    plate: Option<String>,
    foreground_cleanup: Option<bool>,
    skip_still: Option<bool>,
    jpeg_quality: Option<i64>,
}

/// A file of settings that cannot be used.
#[derive(Debug, Error)]
#[error("the settings of cameras in {}: {problem}", path.display())]
pub struct CameraSettingsError {
    path: PathBuf,
    problem: CameraSettingsProblem,
}

#[derive(Debug, Error)]
enum CameraSettingsProblem {
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("{0}")]
    Toml(toml::de::Error),
    #[error("[{table}]: {error}")]
    Camera { table: String, error: CameraIdError },
    #[error("{0}")]
    Setting(SettingError),
    #[error("[{camera}]: {error}")]
    Background {
        camera: CameraId,
        error: BackgroundSourceError,
    },
    #[error("{0}")]
    FineNetwork(Box<StartError>),
}

/// The settings of all cameras.
#[derive(Debug)]
pub struct CameraSettings {
    path: Option<PathBuf>,
    now: Mutex<CurrentSettings>,
}

#[derive(Debug)]
struct CurrentSettings {
    common: Arc<FrameSettings>,
    own: BTreeMap<CameraId, OwnOptions>,
    /// Settings of the cameras that have a table.
    made: HashMap<CameraId, Arc<FrameSettings>>,
    /// Time and size of the file when it was last read.
    seen: Option<(SystemTime, u64)>,
}

impl CameraSettings {
    /// Common settings for every camera.
    fn common(settings: FrameSettings) -> Self {
        CameraSettings {
            path: None,
            now: Mutex::new(CurrentSettings {
                common: Arc::new(settings),
                own: BTreeMap::new(),
                made: HashMap::new(),
                seen: None,
            }),
        }
    }

    /// Common settings, and the options of single cameras from a file, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or something in it cannot be used.
    pub fn read(
        settings: FrameSettings,
        path: Option<&Path>,
        backgrounds: &BackgroundSources,
    ) -> Result<Self, CameraSettingsError> {
        let all = CameraSettings {
            path: path.map(Path::to_owned),
            ..Self::common(settings)
        };
        all.follow(backgrounds)?;
        Ok(all)
    }

    /// The settings of a camera.
    pub fn of(&self, camera: &CameraId) -> Arc<FrameSettings> {
        let now = self.lock();
        now.made.get(camera).unwrap_or(&now.common).clone()
    }

    /// Changes the background of every camera whose table names none.
    ///
    /// # Errors
    /// A camera's options do not fit the background. Nothing has changed.
    pub fn set_background(&self, background: BackgroundChoice) -> Result<(), SettingError> {
        let mut now = self.lock();
        let common = FrameSettings {
            background,
            ..FrameSettings::clone(&now.common)
        };
        now.made = make(&common, &now.own)?;
        now.common = Arc::new(common);
        Ok(())
    }

    /// Reads the file again if its time or size changed. True: it was read.
    ///
    /// # Errors
    /// The file cannot be used. Each version of it gives the error once. The settings do not
    /// change.
    pub fn follow(&self, backgrounds: &BackgroundSources) -> Result<bool, CameraSettingsError> {
        let Some(path) = &self.path else {
            return Ok(false);
        };
        let fails = |problem| CameraSettingsError {
            path: path.clone(),
            problem,
        };
        let looks = fs::metadata(path).and_then(|file| Ok((file.modified()?, file.len())));
        let mut now = self.lock();
        let looks = match looks {
            Ok(looks) if now.seen == Some(looks) => return Ok(false),
            Ok(looks) => Some(looks),
            // While a file is replaced it does not exist for a moment.
            Err(_) if now.seen.is_some() => return Ok(false),
            Err(error) => return Err(fails(CameraSettingsProblem::Unreadable(error))),
        };
        now.seen = looks;
        let text = files::read_text(path, files::MAX_SETTINGS)
            .map_err(|error| fails(CameraSettingsProblem::Unreadable(error)))?;
        let own = read_options(&text).map_err(fails)?;
        let made = make(&now.common, &own)
            .map_err(|error| fails(CameraSettingsProblem::Setting(error)))?;
        for (camera, settings) in &made {
            // Opens the file now: a bad one is an error here, not in the middle of the frames.
            let opened = backgrounds.open(&settings.background, &Stop::new());
            opened.map_err(|error| {
                let camera = camera.clone();
                fails(CameraSettingsProblem::Background { camera, error })
            })?;
        }
        if made.values().any(|settings| settings.matte.is_fine()) {
            let fine = ModelChoice::Fine.load();
            fine.map_err(|error| fails(CameraSettingsProblem::FineNetwork(error.into())))?;
        }
        now.own = own;
        now.made = made;
        Ok(true)
    }

    /// A hash by which workers of one group see that their settings differ.
    pub fn hash(&self) -> String {
        let now = self.lock();
        let common = now.common.hash().unwrap_or_default();
        if now.own.is_empty() {
            return common;
        }
        let own = format!("{common} {:?}", now.own);
        format!("{:08x}", crc32fast::hash(own.as_bytes()))
    }

    fn lock(&self) -> MutexGuard<'_, CurrentSettings> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_options(text: &str) -> Result<BTreeMap<CameraId, OwnOptions>, CameraSettingsProblem> {
    let tables: BTreeMap<String, OwnOptions> =
        toml::from_str(text).map_err(CameraSettingsProblem::Toml)?;
    let named = |(table, options): (String, OwnOptions)| match table.parse() {
        Ok(camera) => Ok((camera, options)),
        Err(error) => Err(CameraSettingsProblem::Camera { table, error }),
    };
    tables.into_iter().map(named).collect()
}

fn make(
    common: &FrameSettings,
    own: &BTreeMap<CameraId, OwnOptions>,
) -> Result<HashMap<CameraId, Arc<FrameSettings>>, SettingError> {
    let made = |(camera, options): (&CameraId, &OwnOptions)| {
        let settings = options.over(common).map_err(|error| SettingError {
            reason: format!("{} (camera {camera})", error.reason),
            ..error
        })?;
        Ok((camera.clone(), Arc::new(settings)))
    };
    own.iter().map(made).collect()
}

impl OwnOptions {
    /// The common settings, changed by the camera's options.
    fn over(&self, common: &FrameSettings) -> Result<FrameSettings, SettingError> {
        let mut settings = common.clone();
        if let Some(spec) = parse("background", &self.background)? {
            if spec == BackgroundSpec::Transparent && !common.format.has_alpha() {
                let reason = format!("{} has no transparency", common.format);
                return Err(SettingError::new("background", spec, reason));
            }
            settings.background = BackgroundChoice::Spec(spec);
        }
        settings.matte = parse("matte", &self.matte)?.unwrap_or(common.matte);
        settings.people = parse("people", &self.people)?.unwrap_or(common.people);
        settings.plate = parse("plate", &self.plate)?.unwrap_or(common.plate);
        if self.jpeg_quality.is_some() {
            settings.jpeg_quality = jpeg_quality(self.jpeg_quality)?;
        }
        settings.foreground_cleanup = self.foreground_cleanup.unwrap_or(common.foreground_cleanup);
        settings.skip_still = self.skip_still.unwrap_or(common.skip_still);
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_core::matte::MatteMode;

    fn backgrounds() -> BackgroundSources {
        BackgroundSources::of(&FrameSettings::default())
    }

    fn camera(name: &str) -> CameraId {
        name.parse().expect("a name")
    }

    #[test]
    fn a_camera_with_a_table_has_its_options_and_the_others_the_common_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cameras.toml");
        fs::write(
            &path,
            "[door]\nbackground = \"blur\"\n[yard]\nmatte = \"hard\"",
        )
        .unwrap();
        let common = FrameSettings::default();
        let all = CameraSettings::read(common.clone(), Some(&path), &backgrounds()).unwrap();
        let door = all.of(&camera("door"));
        assert!(matches!(
            door.background,
            BackgroundChoice::Spec(BackgroundSpec::Blur { .. })
        ));
        assert_eq!(door.matte, common.matte);
        assert_eq!(all.of(&camera("yard")).matte, MatteMode::Hard);
        assert_eq!(*all.of(&camera("hall")), common);
        assert_ne!(all.hash(), CameraSettings::common(common).hash());
        let red = BackgroundChoice::Spec("#FF0000".parse().unwrap());
        all.set_background(red.clone()).unwrap();
        assert_eq!(all.of(&camera("yard")).background, red);
        assert_ne!(all.of(&camera("door")).background, red);
    }

    #[test]
    fn a_changed_file_is_read_and_an_unusable_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cameras.toml");
        let backgrounds = backgrounds();
        fs::write(&path, "[door]\nmatte = \"hard\"").unwrap();
        let all =
            CameraSettings::read(FrameSettings::default(), Some(&path), &backgrounds).unwrap();
        assert!(!all.follow(&backgrounds).unwrap(), "it has not changed");
        for (text, words) in [
            ("[door]\nmatte = \"wrong\"", "matte"),
            ("[door]\nformat = \"jpg\" # is common", "format"),
            (
                "[door]\nbackground = \"image:nowhere/wall.jpg\"",
                "nowhere/wall.jpg",
            ),
            ("[\"a/b\"]\nmatte = \"hard\"", "a/b"),
        ] {
            fs::write(&path, text).unwrap();
            let error = all.follow(&backgrounds).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(!all.follow(&backgrounds).unwrap(), "the error comes once");
            assert_eq!(all.of(&camera("door")).matte, MatteMode::Hard);
        }
        fs::remove_file(&path).unwrap();
        assert!(
            !all.follow(&backgrounds).unwrap(),
            "a missing file is being replaced"
        );
        fs::write(&path, "[hall]\nmatte = \"hard\"\n").unwrap();
        assert!(all.follow(&backgrounds).unwrap());
        assert_eq!(all.of(&camera("door")).matte, MatteMode::Soft);
        assert_eq!(all.of(&camera("hall")).matte, MatteMode::Hard);
    }
}
