//! Settings as one place gives them: the command line, the environment, a file or the defaults.
//!
//! Every command has a layer: a type whose fields are `None` where the place gives no value. Fields
//! have the names of the flags and of the keys in a settings file. Settings that several commands
//! share are a separate group in a separate file.
//!
//! * `run`, `camera`, `worker`, `dead_letters`, `view`, `prune`: the commands that can be
//!   configured.
//! * `source`, `frame`, `kafka`, `page`, `trace`, `messages`, `keep`: settings that they share.
mod camera;
mod dead_letters;
mod frame;
mod kafka;
mod keep;
mod messages;
mod page;
mod prune;
mod run;
mod source;
mod trace;
mod view;
mod worker;

pub use camera::CameraLayer;
pub use dead_letters::DeadLettersLayer;
pub use frame::FrameLayer;
pub use kafka::KafkaLayer;
pub use keep::KeepLayer;
pub use messages::MessagesLayer;
pub use page::{PageLayer, TopicPageLayer};
pub use prune::PruneLayer;
pub use run::RunLayer;
pub use source::SourceLayer;
pub use trace::TraceLayer;
pub use view::ViewLayer;
pub use worker::WorkerLayer;

use clap::Args;
use serde::{Serialize, de::DeserializeOwned};

/// Layers hold values as they were written, also passwords, so their `Debug` shows none.
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
    DeadLettersLayer,
    FrameLayer,
    PruneLayer,
    SourceLayer,
    RunLayer,
    MessagesLayer,
    TopicPageLayer,
    TraceLayer,
    PageLayer,
    ViewLayer,
    WorkerLayer
);

/// The settings of one command, as one place gives them.
pub trait SettingsLayer: Args + Clone + Default + Serialize + DeserializeOwned {
    /// The command, which is also the name of its section in a settings file.
    const COMMAND: &'static str;

    /// The settings of its messages.
    fn messages(&self) -> &MessagesLayer;

    /// The same, to be changed.
    fn messages_mut(&mut self) -> &mut MessagesLayer;

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
    fn of<L: SettingsLayer>() -> (&'static str, Vec<String>) {
        (L::COMMAND, L::keys())
    }
    [
        of::<RunLayer>(),
        of::<CameraLayer>(),
        of::<WorkerLayer>(),
        of::<DeadLettersLayer>(),
        of::<ViewLayer>(),
        of::<PruneLayer>(),
    ]
}

/// The key of a field: clap knows fields by their Rust names, which differ where the key is a word
/// of the language.
pub(crate) fn key_of(id: &str) -> &str {
    if id == "repeat" { "loop" } else { id }
}

/// The field of a key.
pub(crate) fn id_of(key: &str) -> &str {
    if key == "loop" { "repeat" } else { key }
}
