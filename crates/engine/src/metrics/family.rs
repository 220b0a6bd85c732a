//! A metric family: its name, type, labels and help, declared once.

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times in seconds, in buckets.
    Histogram,
}

/// A metric family. Names follow <https://prometheus.io/docs/practices/naming/>.
#[derive(Debug)]
pub struct Family {
    /// The name, such as `mattebox_frames_total`.
    pub name: &'static str,
    /// Its type.
    pub kind: FamilyKind,
    /// Names of its labels, in the order of the values in samples.
    pub labels: &'static [&'static str],
    /// One sentence for `# HELP` and docs/ref/metrics.md.
    pub help: &'static str,
}

impl Family {
    /// A family that only grows.
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Family {
            name,
            kind: FamilyKind::Counter,
            labels,
            help,
        }
    }

    /// A family that goes up and down.
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Family {
            name,
            kind: FamilyKind::Gauge,
            labels,
            help,
        }
    }

    /// A family of times.
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Family {
            name,
            kind: FamilyKind::Histogram,
            labels,
            help,
        }
    }
}
