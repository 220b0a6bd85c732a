//! Tools that are made again after a panic.
use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The tools of a thread. A panic may leave buffers and state half-changed. After it the tools are
/// dropped and made again, so nothing that it touched is used again.
pub(super) struct Guarded<T, E> {
    tools: Option<T>,
    make: Box<dyn FnMut() -> Result<T, E> + Send>,
}

/// The work ended in a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Panicked {
    /// New tools are in place: the thread can go on.
    Recovered,
    /// No new tools could be made: the thread must end.
    Lost {
        /// The error.
        problem: String,
    },
}

impl<T, E: Display> Guarded<T, E> {
    /// Makes the first tools. `make` is called again after each panic.
    pub(super) fn new(mut make: impl FnMut() -> Result<T, E> + Send + 'static) -> Result<Self, E> {
        let tools = Some(make()?);
        Ok(Guarded {
            tools,
            make: Box::new(make),
        })
    }

    /// Runs `work` with the tools. Its changes outside of them stay after a panic.
    pub(super) fn run<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> Result<R, Panicked> {
        let tools = match &mut self.tools {
            Some(tools) => tools,
            none => none.insert(remake(&mut self.make)?),
        };
        if let Ok(done) = catch_unwind(AssertUnwindSafe(|| work(tools))) {
            return Ok(done);
        }
        self.tools = None;
        self.tools = Some(remake(&mut self.make)?);
        Err(Panicked::Recovered)
    }
}

fn remake<T, E: Display>(make: &mut dyn FnMut() -> Result<T, E>) -> Result<T, Panicked> {
    match catch_unwind(AssertUnwindSafe(make)) {
        Ok(Ok(tools)) => Ok(tools),
        Ok(Err(error)) => Err(Panicked::Lost {
            problem: error.to_string(),
        }),
        Err(_) => Err(Panicked::Lost {
            problem: "making the tools panicked".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tools that can be made `limit` times. Each has ten times its number.
    fn counted(limit: u32) -> Guarded<u32, String> {
        let mut made = 0;
        Guarded::new(move || {
            made += 1;
            if made > limit {
                Err("no memory".to_owned())
            } else {
                Ok(made * 10)
            }
        })
        .unwrap()
    }

    #[test]
    fn after_a_panic_the_tools_are_new() {
        let mut tools = counted(2);
        assert_eq!(tools.run(|n| *n), Ok(10));
        let panicked = tools.run(|n| {
            *n = 77;
            panic!("on purpose");
        });
        assert_eq!(panicked, Err::<(), _>(Panicked::Recovered));
        assert_eq!(tools.run(|n| *n), Ok(20));
    }

    #[test]
    fn the_old_tools_are_not_used_even_if_no_new_ones_can_be_made() {
        let mut tools = counted(1);
        let lost = Err(Panicked::Lost {
            problem: "no memory".to_owned(),
        });
        assert_eq!(tools.run(|_| -> u32 { panic!("on purpose") }), lost);
        assert_eq!(tools.run(|n| *n), lost);
    }
}
