//! The settings of cameras, whose file is looked at again while tasks run.
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    CameraSettings, FrameSettings, background::BackgroundSources,
    camera_settings::CameraSettingsError,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Between two looks at the file within a task.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The settings of cameras for all tasks of an executor.
pub(crate) struct FollowedSettings {
    all: CameraSettings,
    looked: Mutex<Instant>,
}

impl FollowedSettings {
    /// The file was read just now.
    pub(crate) fn new(all: CameraSettings) -> Self {
        FollowedSettings {
            all,
            looked: Mutex::new(Instant::now()),
        }
    }

    /// The settings of a camera.
    pub(crate) fn of(&self, camera: &CameraId) -> Arc<FrameSettings> {
        self.all.of(camera)
    }

    /// Looks at the file: where a task begins, and within a task, which in real time has no end,
    /// when the last look was a second ago. A file that cannot be used changes nothing.
    pub(crate) fn follow(
        &self,
        begins_task: bool,
        now: Instant,
        backgrounds: &BackgroundSources,
    ) -> Result<(), CameraSettingsError> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if !begins_task && now.saturating_duration_since(*looked) < LOOK_INTERVAL {
            return Ok(());
        }
        *looked = now;
        drop(looked);
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
    fn the_file_is_read_again_where_a_task_begins_and_once_a_second_within_a_task() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cameras.toml");
        fs::write(&file, "[door]\njpeg_quality = 10").unwrap();
        let (followed, engine) = followed(&file);
        let begun = *followed.looked.lock().unwrap();
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
        assert_eq!(quality(true, 2_000).unwrap(), 100, "it is said once");
    }
}
