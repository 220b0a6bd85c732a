//! Names in headers that readers and writers share.

/// The `ce_type` of a frame.
pub(super) const FRAME_TYPE: &str = "mattebox.frame.v1";
/// The beginning of every `ce_source`; the camera id follows.
pub(super) const SOURCE_PREFIX: &str = "mattebox/camera/";
/// The `ce_type` of a result.
pub(super) const RESULT_TYPE: &str = "mattebox.matted.v1";
