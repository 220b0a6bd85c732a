//! The id that a broker gives a topic: it changes when the topic is deleted and created again.
//!
//! rdkafka's safe API does not have it, so this file calls librdkafka's `rd_kafka_DescribeTopics`
//! itself. Every object of librdkafka is in an `Owned`, which frees it on every way out.
#![allow(unsafe_code, reason = "rdkafka has no safe call for the id of a topic")]
use rdkafka::{
    ClientContext,
    bindings::{self as native, rd_kafka_resp_err_t as NativeCode},
    client::Client,
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{CStr, CString, c_char, c_int},
    fmt,
    ptr::{self, NonNull},
    slice,
    time::Duration,
};

/// librdkafka takes no longer timeouts of a request.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// librdkafka itself ends a request at its timeout; its answer gets this long to arrive.
const GRACE: Duration = Duration::from_secs(1);

/// The id of a topic as text: 22 characters of base64 in the standard alphabet, without padding.
/// Kafka's own tools write `-` and `_` where this has `+` and `/`.
///
/// Brokers older than Kafka 2.8 know no ids. Theirs are all zero (`AAAAAAAAAAAAAAAAAAAAAA`), also
/// after a topic is created again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicId(String);

impl TopicId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a topic exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicState {
    /// There is a topic of this name.
    Known(TopicId),
    /// There is none. Asking does not create one.
    Missing,
}

/// Asks the broker for the ids of topics, and answers in the order asked. Blocks up to `timeout`.
///
/// # Errors [`KafkaError::AdminOp`] with librdkafka's reason, such as
/// [`OperationTimedOut`](RDKafkaErrorCode::OperationTimedOut) without an answer, or with the
/// broker's reason why it does not describe one of the topics.
pub fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<TopicState>, KafkaError> {
    in_order(client, None, topics, timeout)
}

/// Asks for the id of one topic, as [`topic_ids`] does.
///
/// # Errors
/// Those of [`topic_ids`].
pub fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<TopicState, KafkaError> {
    let state = topic_ids(client, &[topic], timeout)?.into_iter().next();
    Ok(state.unwrap_or(TopicState::Missing))
}

/// Asks one broker by its number, or the controller of the cluster.
fn in_order<C: ClientContext>(
    client: &Client<C>,
    broker: Option<i32>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<TopicState>, KafkaError> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let found = describe(client, broker, topics, timeout)?;
    let of = |topic: &&str| found.get(*topic).cloned().ok_or_else(unexpected);
    topics.iter().map(of).collect()
}

fn describe<C: ClientContext>(
    client: &Client<C>,
    broker: Option<i32>,
    topics: &[&str],
    timeout: Duration,
) -> Result<BTreeMap<String, TopicState>, KafkaError> {
    // librdkafka refuses a repeated name.
    let names = BTreeSet::from_iter(topics)
        .into_iter()
        .map(|name| CString::new(*name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let timeout = timeout.clamp(Duration::from_millis(1), MAX_TIMEOUT);
    let rk = client.native_ptr();
    // SAFETY: `pointers` are `names`' strings, which end with a zero byte and live until the end of
    // this function; librdkafka copies them.
    let collection = unsafe {
        Owned::new(
            native::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            native::rd_kafka_TopicCollection_destroy,
        )
    }?;
    // SAFETY: `client` keeps `rk` alive beyond the end of this function.
    let options = unsafe {
        Owned::new(
            native::rd_kafka_AdminOptions_new(
                rk,
                native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
            native::rd_kafka_AdminOptions_destroy,
        )
    }?;
    // SAFETY: `options` is alive; the text of an error may be null where its size is 0.
    check(unsafe {
        native::rd_kafka_AdminOptions_set_request_timeout(
            options.ptr(),
            millis(timeout),
            ptr::null_mut(),
            0,
        )
    })?;
    if let Some(broker) = broker {
        // SAFETY: as above.
        check(unsafe {
            native::rd_kafka_AdminOptions_set_broker(options.ptr(), broker, ptr::null_mut(), 0)
        })?;
    }
    // SAFETY: as for `options`.
    let queue = unsafe {
        Owned::new(
            native::rd_kafka_queue_new(rk),
            native::rd_kafka_queue_destroy,
        )
    }?;
    // SAFETY: all four are alive. librdkafka copies the names and the options, and holds the queue
    // for itself until it has answered.
    unsafe {
        native::rd_kafka_DescribeTopics(rk, collection.ptr(), options.ptr(), queue.ptr());
    }
    // SAFETY: the queue is alive, and no other code reads it. The event is ours; null means that
    // none came in time.
    let event = unsafe {
        Owned::new(
            native::rd_kafka_queue_poll(queue.ptr(), millis(timeout + GRACE)),
            native::rd_kafka_event_destroy,
        )
    }
    .map_err(|_| KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut))?;
    // SAFETY: the event is alive.
    check(unsafe { native::rd_kafka_event_error(event.ptr()) })?;
    // SAFETY: the event is alive; for one of another kind the result is null.
    let result = unsafe { native::rd_kafka_event_DescribeTopics_result(event.ptr()) };
    if result.is_null() {
        return Err(unexpected());
    }
    let mut count = 0;
    // SAFETY: the result is a part of the event, which is alive.
    let first = unsafe { native::rd_kafka_DescribeTopics_result_topics(result, &mut count) };
    if first.is_null() || count == 0 {
        return Err(unexpected());
    }
    // SAFETY: librdkafka says that there are `count` pointers. They are a part of the event.
    let descriptions = unsafe { slice::from_raw_parts(first, count) };
    // A topic without an answer from the broker is null.
    let there = descriptions.iter().filter(|d| !d.is_null());
    // SAFETY: the description is not null, and a part of the event.
    there.map(|d| unsafe { state(*d) }).collect()
}

/// The name and the state of one topic.
///
/// # Safety
/// The description belongs to an event that is alive.
unsafe fn state(
    description: *const native::rd_kafka_TopicDescription_t,
) -> Result<(String, TopicState), KafkaError> {
    // SAFETY: the caller's promise; librdkafka reads a null error as none.
    let (name, code, uuid) = unsafe {
        (
            native::rd_kafka_TopicDescription_name(description),
            native::rd_kafka_error_code(native::rd_kafka_TopicDescription_error(description)),
            native::rd_kafka_TopicDescription_topic_id(description),
        )
    };
    // SAFETY: null or a string that lives as long as the event.
    let name = unsafe { text(name) }?;
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::UnknownTopicOrPartition => return Ok((name, TopicState::Missing)),
        _ => check(code)?,
    }
    if uuid.is_null() {
        return Err(unexpected());
    }
    // SAFETY: the id lives as long as the event. The call writes the text into the id and returns
    // its address, null where it cannot; no other thread has this id.
    let id = unsafe { text(native::rd_kafka_Uuid_base64str(uuid)) }?;
    Ok((name, TopicState::Known(TopicId(id))))
}

/// A copy of librdkafka's text.
///
/// # Safety
/// `text` is null or a string that ends with a zero byte.
unsafe fn text(text: *const c_char) -> Result<String, KafkaError> {
    if text.is_null() {
        return Err(unexpected());
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    Ok(text.to_string_lossy().into_owned())
}

fn check(code: NativeCode) -> Result<(), KafkaError> {
    match code {
        NativeCode::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::AdminOp(code.into())),
    }
}

/// The error for a broken promise of librdkafka.
fn unexpected() -> KafkaError {
    KafkaError::AdminOp(RDKafkaErrorCode::Fail)
}

fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}

/// An object of librdkafka, freed when this is dropped.
struct Owned<T> {
    object: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes an object; an error if there is none.
    ///
    /// # Safety
    /// `object` is null, or `free` may be called once for it and no other code does so.
    unsafe fn new(object: *mut T, free: unsafe extern "C" fn(*mut T)) -> Result<Self, KafkaError> {
        let object = NonNull::new(object).ok_or_else(unexpected)?;
        Ok(Owned { object, free })
    }

    fn ptr(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the promise of `new`'s caller.
        unsafe { (self.free)(self.object.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::{
        ClientConfig,
        consumer::{BaseConsumer, Consumer},
        mocking::MockCluster,
    };
    use std::time::Instant;

    fn consumer(bootstrap: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "ids")
            .set("log_level", "0");
        config.create().expect("a consumer")
    }

    #[test]
    fn every_topic_has_an_id_and_a_missing_one_has_none() {
        let cluster = MockCluster::new(1).expect("a broker that answers");
        for topic in ["a", "b"] {
            cluster.create_topic(topic, 1, 1).expect("a topic");
        }
        let consumer = consumer(&cluster.bootstrap_servers());
        // The broker of a mock is number 1, and none is the controller.
        let ask = |topics: &[&str]| {
            let client = consumer.client();
            in_order(client, Some(1), topics, Duration::from_secs(30)).expect("an answer")
        };
        let answer = ask(&["b", "none", "a", "b"]);
        let [
            TopicState::Known(b),
            TopicState::Missing,
            TopicState::Known(a),
            TopicState::Known(again),
        ] = &answer[..]
        else {
            panic!("{answer:?}");
        };
        assert_eq!(b, again);
        assert_ne!(a, b);
        for id in [a, b] {
            assert_eq!((id.as_str().len(), id.to_string()), (22, id.0.clone()));
            assert_ne!(id.as_str(), "AAAAAAAAAAAAAAAAAAAAAA");
        }
        assert_eq!(ask(&["none"]), [TopicState::Missing], "asking creates none");
        assert_eq!(ask(&["a"]), [TopicState::Known(a.clone())]);
    }

    #[test]
    fn without_a_listener_it_ends_in_time_with_an_error() {
        let consumer = consumer("127.0.0.1:1");
        let begun = Instant::now();
        let error = topic_ids(consumer.client(), &["a"], Duration::from_millis(300))
            .expect_err("no answer");
        assert_eq!(
            error,
            KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)
        );
        assert!(begun.elapsed() >= Duration::from_millis(200));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn questions_that_need_no_broker_are_answered_without_one() {
        let consumer = consumer("127.0.0.1:1");
        let ask = |topics: &[&str]| topic_ids(consumer.client(), topics, Duration::from_secs(30));
        assert_eq!(ask(&[]), Ok(Vec::new()));
        assert!(matches!(ask(&["a\0b"]), Err(KafkaError::Nul(_))));
        assert_eq!(
            ask(&[""]),
            Err(KafkaError::AdminOp(RDKafkaErrorCode::InvalidArgument))
        );
    }
}
