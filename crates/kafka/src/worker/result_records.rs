//! Results and dead letters as records of a transaction.
use super::{
    held::HeldItem,
    job::{EncodedResult, Job, RejectedRecord},
    transactions::TransactionalProducer,
};
use crate::{dead_letter_record, record::with_record, settings::WorkerSettings};
use mattebox_core::codec::ImageFormat;
use mattebox_engine::trace::Span;
use mattebox_wire::{DeadLetter, ResultMeta};
use rdkafka::{
    Message,
    error::KafkaResult,
    message::{Header, OwnedHeaders},
    producer::BaseRecord,
};

/// The data that all records of a worker share.
pub(super) struct ResultRecords {
    /// The topic of the frames.
    frames: String,
    /// The topic of results.
    results: String,
    /// The topic of dead letters, and the largest value that it accepts.
    dead: String,
    max_dead_letter: usize,
    /// The network, for a header of every result.
    model: String,
    format: ImageFormat,
}

impl ResultRecords {
    pub(super) fn new(settings: &WorkerSettings, results: &str, model_sha256: &str) -> Self {
        let frames = settings.broker.topic.clone();
        ResultRecords {
            results: results.to_owned(),
            dead: dead_letter_record::topic(&frames),
            max_dead_letter: 0,
            model: model_sha256.to_owned(),
            format: settings.frame.format,
            frames,
        }
    }

    /// Sets the largest value in bytes that the topic of dead letters accepts.
    pub(super) fn set_max_dead_letter(&mut self, max: usize) {
        self.max_dead_letter = max;
    }

    /// Sends a result or a dead letter; returns the span of the sending.
    pub(super) fn send(
        &self,
        producer: &TransactionalProducer,
        partition: i32,
        offset: i64,
        item: &HeldItem,
    ) -> KafkaResult<Span> {
        match item {
            HeldItem::Result(job, result) => self.send_result(producer, job, result),
            HeldItem::DeadLetter(rejected) => {
                self.send_dead_letter(producer, partition, offset, rejected)?;
                Ok(Span::default())
            }
        }
    }

    fn send_result(
        &self,
        producer: &TransactionalProducer,
        job: &Job,
        result: &EncodedResult,
    ) -> KafkaResult<Span> {
        let span = job.span.send(&self.results);
        let record = BaseRecord::to(&self.results)
            .key(job.head.camera.as_str())
            .payload(&result.bytes)
            .headers(self.headers(job, result, &span));
        producer.send(record)?;
        Ok(span)
    }

    fn headers(&self, job: &Job, result: &EncodedResult, span: &Span) -> OwnedHeaders {
        let (width, height) = result.size;
        let meta = ResultMeta {
            camera: &job.head.camera,
            session: job.head.session.as_deref(),
            number: result.number,
            time: job.head.time,
            width,
            height,
            format: self.format,
            model_sha256: &self.model,
            settings: &result.settings,
        };
        let mut headers = OwnedHeaders::new();
        for (key, value) in mattebox_wire::result_headers(&meta) {
            headers = headers.insert(Header {
                key,
                value: Some(&value),
            });
        }
        let own = span.headers();
        // A worker that does not trace passes the frame's trace on.
        if own.is_empty() {
            headers = with_record(&*job.record, |record| {
                let passed_on = mattebox_wire::trace_headers(record).into_iter();
                passed_on.fold(headers, |all, (key, value)| {
                    let value = Some(value);
                    all.insert(Header { key, value })
                })
            });
        }
        for (key, value) in &own {
            let value = Some(value);
            headers = headers.insert(Header { key, value });
        }
        headers
    }

    fn send_dead_letter(
        &self,
        producer: &TransactionalProducer,
        partition: i32,
        offset: i64,
        rejected: &RejectedRecord,
    ) -> KafkaResult<()> {
        let reason = DeadLetter {
            code: rejected.rejection.code,
            message: &rejected.rejection.message,
            topic: &self.frames,
            partition,
            offset,
        };
        let (value, headers) =
            dead_letter_record::value_and_headers(&rejected.record, &reason, self.max_dead_letter);
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.dead);
        record.payload = value;
        record.key = rejected.record.key();
        producer.send(record.headers(headers))
    }
}
