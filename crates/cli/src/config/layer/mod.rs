//! Settings as one place gives them: the command line, the environment, a file or the defaults.
//!
//! Every command has a layer: a type whose fields are `None` where the place says nothing. Names are those of the flags and of the
//! keys in a settings file. What several commands share is a group of its own, in a file of its own.
//!
//! * `run`, `camera`, `worker`, `letters`, `watch` (`mattebox view`), `prune`: the commands that can be configured.
//! * `read`, `made`, `kafka`, `view`, `trace`, `say`, `keep`: what they share.
mod camera;
mod kafka;
mod keep;
mod letters;
mod made;
mod prune;
mod read;
mod run;
mod say;
mod trace;
mod view;
mod watch;
mod worker;

pub use camera::CameraLayer;
pub use kafka::KafkaLayer;
pub use keep::KeepLayer;
pub use letters::LettersLayer;
pub use made::MadeLayer;
pub use prune::PruneLayer;
pub use read::ReadLayer;
pub use run::RunLayer;
pub use say::SayLayer;
pub use trace::TraceLayer;
pub use view::{TopicViewLayer, ViewLayer};
pub use watch::WatchLayer;
pub use worker::WorkerLayer;

use clap::Args;
use serde::{Serialize, de::DeserializeOwned};

/// Layers hold what was written, passwords too: their `Debug` shows nothing of it.
macro_rules! hide {
    ($($layer:ident),*) => {$(
        impl std::fmt::Debug for $layer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($layer)).finish_non_exhaustive()
            }
        }
    )*};
}
hide!(
    CameraLayer,
    KafkaLayer,
    KeepLayer,
    LettersLayer,
    MadeLayer,
    PruneLayer,
    ReadLayer,
    RunLayer,
    SayLayer,
    TopicViewLayer,
    TraceLayer,
    ViewLayer,
    WatchLayer,
    WorkerLayer
);

/// The settings of one command, as one place gives them.
pub trait Layer: Args + Clone + Default + Serialize + DeserializeOwned {
    /// The command, which is also the name of its own section in a settings file.
    const COMMAND: &'static str;

    /// How it logs.
    fn say(&self) -> &SayLayer;

    /// The same, to be changed.
    fn say_mut(&mut self) -> &mut SayLayer;

    /// The names of its settings.
    fn keys() -> Vec<String> {
        let command = Self::augment_args(clap::Command::new(Self::COMMAND));
        command
            .get_arguments()
            .map(|argument| key_of(argument.get_id().as_str()).to_owned())
            .collect()
    }
}

/// Every command that can be configured, with the names of its settings.
pub fn commands() -> [(&'static str, Vec<String>); 6] {
    fn of<L: Layer>() -> (&'static str, Vec<String>) {
        (L::COMMAND, L::keys())
    }
    [
        of::<RunLayer>(),
        of::<CameraLayer>(),
        of::<WorkerLayer>(),
        of::<LettersLayer>(),
        of::<WatchLayer>(),
        of::<PruneLayer>(),
    ]
}

/// The key of a field: clap knows fields by their Rust names, which differ where the key is a word of the language.
pub(crate) fn key_of(id: &str) -> &str {
    if id == "repeat" { "loop" } else { id }
}

/// The field of a key.
pub(crate) fn id_of(key: &str) -> &str {
    if key == "loop" { "repeat" } else { key }
}
