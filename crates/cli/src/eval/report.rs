//! The result of an evaluation, for people and for machines.
use comfy_table::{CellAlignment, Table, presets};
use mattebox_core::quality::{
    FrameQuality, Summary,
    summary::{Metric, worst},
};
use serde_json::{Map, Value, json};
use std::{fmt::Write, path::PathBuf};

/// The metrics of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredFrame {
    /// Its place in the sequence, counted from 0.
    pub frame: u64,
    /// The name of its predicted alpha's file, if it was one.
    pub name: Option<String>,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// Its figures.
    pub quality: FrameQuality,
}

/// An evaluation from the first frame to the last.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalReport {
    /// Where the predicted alpha was.
    pub predicted: PathBuf,
    /// Where the true alpha was.
    pub truth: PathBuf,
    /// Every frame in order; at least one.
    pub frames: Vec<MeasuredFrame>,
    /// Whether [`Metric::Static`] is reported too.
    pub with_static: bool,
}

impl EvalReport {
    /// The mean over all frames; none if there is no frame.
    pub fn mean(&self) -> Option<FrameQuality> {
        let mut summary = Summary::default();
        self.frames
            .iter()
            .for_each(|frame| summary.add(&frame.quality));
        summary.mean()
    }

    /// The reported metrics, in order.
    fn metrics(&self) -> impl Iterator<Item = Metric> + Clone {
        let with_static = self.with_static;
        Metric::ALL
            .into_iter()
            .filter(move |&metric| with_static || metric != Metric::Static)
    }

    /// Width and height of the frames in pixels; none if they differ, or there is no frame.
    pub fn size(&self) -> Option<(u32, u32)> {
        let mut sizes = self.frames.iter().map(|frame| (frame.width, frame.height));
        let first = sizes.next()?;
        sizes.all(|size| size == first).then_some(first)
    }

    /// The `count` worst frames by `metric`, the worst first.
    pub fn worst(&self, metric: Metric, count: usize) -> Vec<&MeasuredFrame> {
        let figures: Vec<FrameQuality> = self.frames.iter().map(|frame| frame.quality).collect();
        worst(&figures, metric, count)
            .into_iter()
            .map(|at| &self.frames[at])
            .collect()
    }

    /// The mean and the `count` worst frames by `metric` as a table for people, with a line end.
    pub fn to_table(&self, metric: Metric, count: usize) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let head = self.metrics().map(|metric| metric.to_string());
        table.set_header(std::iter::once(String::new()).chain(head));
        table.add_row(self.cells("mean".to_owned(), self.mean().as_ref()));
        for frame in self.worst(metric, count) {
            let name = frame
                .name
                .as_ref()
                .map_or(String::new(), |name| format!(" {name}"));
            table.add_row(self.cells(format!("frame {}{name}", frame.frame), Some(&frame.quality)));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let frames = self.frames.len();
        let plural = if self.frames.len() == 1 { "" } else { "s" };
        let size = self
            .size()
            .map_or("various sizes".to_owned(), |(width, height)| {
                format!("{width}x{height}")
            });
        let mut text = format!(
            "{frames} frame{plural} of {size}: {}",
            self.predicted.display()
        );
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            " against {}\n\n{}\n\n",
            self.truth.display(),
            table.trim_fmt()
        );
        let change = if self.with_static {
            "dtSSD, Static"
        } else {
            "dtSSD"
        };
        text + &format!(
            "IoU: higher is better. MAD, MSE x 1e3; Grad, Conn / 1e3, sums over a frame; \
             {change} x 1e2: lower is better.\n"
        )
    }

    /// The mean and the `count` worst frames by `metric` as one JSON object.
    pub fn to_json(&self, metric: Metric, count: usize) -> Value {
        let worst = self.worst(metric, count).into_iter();
        let worst: Vec<_> = worst.map(|frame| self.frame_to_json(frame)).collect();
        json!({
            "predicted": self.predicted.to_string_lossy(),
            "truth": self.truth.to_string_lossy(),
            "frames": self.frames.len(),
            "width": self.size().map(|size| size.0),
            "height": self.size().map(|size| size.1),
            "mean": self.mean().map(|mean| Value::Object(self.figures(&mean))),
            "worst_by": metric.name(),
            "worst": worst,
        })
    }

    /// Every frame as a JSON array of objects.
    pub fn frames_to_json(&self) -> Value {
        self.frames
            .iter()
            .map(|frame| self.frame_to_json(frame))
            .collect()
    }

    /// Every frame as CSV (RFC 4180) with a header; a missing metric is an empty cell.
    pub fn frames_to_csv(&self) -> String {
        let names: Vec<_> = self.metrics().map(Metric::name).collect();
        let mut csv = format!("frame,name,{}\r\n", names.join(","));
        for MeasuredFrame {
            frame,
            name,
            quality,
            ..
        } in &self.frames
        {
            let name = name.as_ref().map_or(String::new(), |name| {
                format!("\"{}\"", name.replace('"', "\"\""))
            });
            let value = |metric: Metric| {
                metric
                    .of(quality)
                    .map_or(String::new(), |value| value.to_string())
            };
            let figures: Vec<_> = self.metrics().map(value).collect();
            // Writing to a String cannot fail.
            let _ = write!(csv, "{frame},{name},{}\r\n", figures.join(","));
        }
        csv
    }

    /// A row of the table: four decimals for IoU, two for the errors.
    fn cells(&self, title: String, quality: Option<&FrameQuality>) -> Vec<String> {
        let figure = |metric: Metric| match quality.and_then(|quality| metric.of(quality)) {
            Some(value) if metric == Metric::Iou => format!("{value:.4}"),
            Some(value) => format!("{value:.2}"),
            None => "-".to_owned(),
        };
        std::iter::once(title)
            .chain(self.metrics().map(figure))
            .collect()
    }

    /// A metric's name and value each; none is `null`.
    fn figures(&self, quality: &FrameQuality) -> Map<String, Value> {
        self.metrics()
            .map(|metric| (metric.name().to_owned(), json!(metric.of(quality))))
            .collect()
    }

    fn frame_to_json(&self, frame: &MeasuredFrame) -> Value {
        let mut object = Map::new();
        object.insert("frame".to_owned(), json!(frame.frame));
        object.insert("name".to_owned(), json!(frame.name));
        object.extend(self.figures(&frame.quality));
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> EvalReport {
        let frame = |frame, name: &str, iou, mad, dtssd| MeasuredFrame {
            frame,
            name: Some(name.to_owned()),
            width: 640,
            height: 360,
            quality: FrameQuality {
                iou,
                mad,
                mse: 3.25,
                grad: 2.5,
                conn: 1.0,
                dtssd,
                flicker: dtssd.map(|value| value / 4.0),
            },
        };
        EvalReport {
            with_static: false,
            predicted: "output/cam01".into(),
            truth: "alpha.mkv".into(),
            frames: vec![
                frame(0, "a.png", 1.0, 4.0, None),
                frame(1, "b \"1\".png", 0.5, 8.0, Some(5.0)),
            ],
        }
    }

    #[test]
    fn the_table_reads_well() {
        let expected = "\
2 frames of 640x360: output/cam01 against alpha.mkv

                       IoU   MAD   MSE  Grad  Conn  dtSSD
 mean               0.7500  6.00  3.25  2.50  1.00   5.00
 frame 1 b \"1\".png  0.5000  8.00  3.25  2.50  1.00   5.00

IoU: higher is better. MAD, MSE x 1e3; Grad, Conn / 1e3, sums over a frame; \
dtSSD x 1e2: lower is better.
";
        assert_eq!(report().to_table(Metric::Iou, 1), expected);
    }

    #[test]
    fn static_is_told_where_it_is_asked_for() {
        let asked = EvalReport {
            with_static: true,
            ..report()
        };
        let table = asked.to_table(Metric::Static, 1);
        let mut lines = table.lines().skip(2);
        assert!(lines.next().unwrap().ends_with("dtSSD  Static"), "{table}");
        assert!(lines.next().unwrap().ends_with("5.00    1.25"), "{table}");
        assert!(lines.next().unwrap().starts_with(" frame 1 "), "{table}");
        assert_eq!(asked.to_json(Metric::Mad, 0)["mean"]["static"], 1.25);
        assert_eq!(asked.frames_to_json()[0]["static"], Value::Null);
        assert!(
            asked
                .frames_to_csv()
                .starts_with("frame,name,iou,mad,mse,grad,conn,dtssd,static\r\n")
        );
        assert_eq!(report().to_json(Metric::Mad, 0)["mean"].get("static"), None);
    }

    #[test]
    fn json_holds_the_mean_and_the_worst() {
        let json = report().to_json(Metric::Mad, 1);
        assert_eq!(json["frames"], 2);
        assert_eq!(json["mean"]["iou"], 0.75);
        assert_eq!(json["worst_by"], "mad");
        assert_eq!(json["worst"], json!([report().frames_to_json()[1]]));
        assert_eq!(report().frames_to_json()[0]["dtssd"], Value::Null);
    }

    #[test]
    fn sizes_that_differ_are_no_size() {
        let mut report = report();
        report.frames[1].width = 1;
        assert!(
            report
                .to_table(Metric::Mad, 0)
                .starts_with("2 frames of various sizes:")
        );
        assert_eq!(report.to_json(Metric::Mad, 0)["width"], Value::Null);
    }

    #[test]
    fn csv_quotes_names() {
        let csv = report().frames_to_csv();
        let expected = "frame,name,iou,mad,mse,grad,conn,dtssd\r\n\
            0,\"a.png\",1,4,3.25,2.5,1,\r\n\
            1,\"b \"\"1\"\".png\",0.5,8,3.25,2.5,1,5\r\n";
        assert_eq!(csv, expected);
    }
}
