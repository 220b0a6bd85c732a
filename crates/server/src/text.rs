//! The text format of Prometheus (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
use std::fmt::Write;

/// Collects families of samples.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Begins a family: all its samples follow. `kind` is counter, gauge or histogram.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A sample of the family that was begun.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(
                self.0,
                "{}{label}=\"{text}\"",
                if n == 0 { '{' } else { ',' }
            );
        }
        let _ = writeln!(
            self.0,
            "{} {value}",
            if labels.is_empty() { "" } else { "}" }
        );
    }

    /// The whole page.
    pub fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_numbers_are_plain() {
        let mut text = Text::default();
        text.family("x_total", "counter", "What it is.");
        text.sample(
            "x_total",
            &[("camera", "a\"b\\c\nd"), ("n", "1")],
            12345678901.0,
        );
        text.sample("x_total", &[], 0.5);
        let wanted = "# HELP x_total What it is.\n# TYPE x_total counter\nx_total{camera=\"a\\\"b\\\\c\\nd\",n=\"1\"} 12345678901\nx_total 0.5\n";
        assert_eq!(text.finish(), wanted);
    }
}
