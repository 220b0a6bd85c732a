//! The settings of cameras, whose file is checked again while tasks run.
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    CameraSettings, FrameSettings, background::BackgroundSources,
    camera_settings::CameraSettingsError,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The time between two checks of the file within a task.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The settings of cameras for all tasks of an executor.
pub(crate) struct FollowedSettings {
    all: CameraSettings,
    checked: Mutex<Instant>,
}

impl FollowedSettings {
    /// For a file that was read just now.
    pub(crate) fn new(all: CameraSettings) -> Self {
        FollowedSettings {
            all,
            checked: Mutex::new(Instant::now()),
        }
    }

    /// The settings of a camera.
    pub(crate) fn of(&self, camera: &CameraId) -> Arc<FrameSettings> {
        self.all.of(camera)
    }

    /// Checks the file: at the beginning of a task, and within a task, which has no end in
    /// real-time mode, once a second. A file that cannot be used changes nothing.
    pub(crate) fn follow(
        &self,
        begins_task: bool,
        now: Instant,
        backgrounds: &BackgroundSources,
    ) -> Result<(), CameraSettingsError> {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if !begins_task && now.saturating_duration_since(*checked) < CHECK_INTERVAL {
            return Ok(());
        }
        *checked = now;
        drop(checked);
        self.all.follow(backgrounds).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_engine::Engine;
    use std::{fs, path::Path};

    fn followed(file: &Path) -> (FollowedSettings, Engine) {
        let common = FrameSettings::default();
        let engine = Engine::new(&common);
        let all = CameraSettings::read(common, Some(file), &engine.backgrounds).unwrap();
        (FollowedSettings::new(all), engine)
    }

    #[test]
    fn the_file_is_read_again_at_the_beginning_of_a_task_and_once_a_second_within_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cameras.toml");
        fs::write(&file, "[door]\njpeg_quality = 10").unwrap();
        let (followed, engine) = followed(&file);
        let begun = *followed.checked.lock().unwrap();
        let quality = |begins_task, after_ms| {
            let now = begun + Duration::from_millis(after_ms);
            followed.follow(begins_task, now, &engine.backgrounds)?;
            Ok::<_, CameraSettingsError>(followed.of(&"door".parse().unwrap()).jpeg_quality)
        };
        fs::write(&file, "[door]\njpeg_quality = 9").unwrap();
        assert_eq!(quality(false, 999).unwrap(), 10);
        assert_eq!(quality(false, 1_000).unwrap(), 9);
        fs::write(&file, "[door]\njpeg_quality = 100").unwrap();
        assert_eq!(quality(false, 1_999).unwrap(), 9);
        assert_eq!(quality(true, 1_999).unwrap(), 100);
        fs::write(&file, "[door]\njpeg_quality = 0").unwrap();
        assert!(quality(true, 2_000).is_err());
        assert_eq!(
            quality(true, 2_000).unwrap(),
            100,
            "the error is reported once"
        );
    }
}
