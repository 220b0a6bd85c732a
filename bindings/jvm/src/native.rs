//! The functions that Java calls: the methods of `Native.java`.
//!
//! Every method runs inside `with_env`, which catches panics: a bug here fails a task, never the
//! executor.
#![allow(
    unsafe_code,
    reason = "names that the JVM looks up must be unmangled, which the compiler cannot check to \
        be unique"
)]
use crate::{
    engine::{OpenError, RecordOrigin, TaskEngine},
    partition::TaskError,
};
use jni::{
    Env, EnvUnowned,
    errors::{self, ErrorPolicy},
    jni_str,
    objects::{JByteArray, JClass, JObjectArray, JString},
    strings::{JNIStr, JNIString},
    sys::{jint, jlong},
};
use mattebox_store::OwnerError;
use std::{
    any::Any,
    sync::{Arc, PoisonError, RwLock},
};
use thiserror::Error;

/// The engines of this process by their settings and query. Java's handle is an index into this
/// list: Java never passes an address.
static ENGINES: RwLock<Vec<(EngineKey, Arc<TaskEngine>)>> = RwLock::new(Vec::new());

/// Settings, and the id of a streaming query.
type EngineKey = (String, Option<String>);

#[derive(Debug, Error)]
enum NativeError {
    #[error(transparent)]
    Jni(#[from] errors::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error("{0} is no handle")]
    Handle(jlong),
    #[error("the headers cannot be read")]
    Headers,
}

impl NativeError {
    /// The exception that tells the cause: after a `SettingsException` another try does not help.
    fn class(&self) -> &'static JNIStr {
        match self {
            NativeError::Open(OpenError::Folder(OwnerError::Store(_))) => {
                jni_str!("io/mattebox/spark/MatteboxException")
            }
            NativeError::Open(_) | NativeError::Task(TaskError::Start(_)) => {
                jni_str!("io/mattebox/spark/SettingsException")
            }
            _ => jni_str!("io/mattebox/spark/MatteboxException"),
        }
    }
}

/// Throws the error's exception with its text.
struct Throw;

impl<T: Default> ErrorPolicy<T, NativeError> for Throw {
    type Captures<'env: 'method, 'method> = ();

    fn on_error<'env: 'method, 'method>(
        env: &mut Env<'env>,
        _: &mut (),
        error: NativeError,
    ) -> errors::Result<T> {
        if !env.exception_check() {
            let _ = env.throw_new(error.class(), JNIString::from(error.to_string()));
        }
        Ok(T::default())
    }

    fn on_panic<'env: 'method, 'method>(
        env: &mut Env<'env>,
        _: &mut (),
        panic: Box<dyn Any + Send>,
    ) -> errors::Result<T> {
        let said = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        let text = format!(
            "a fault of mattebox, please report it: {}",
            said.as_deref().unwrap_or("it said nothing")
        );
        let _ = env.throw_new(
            jni_str!("io/mattebox/spark/MatteboxException"),
            JNIString::from(text),
        );
        Ok(T::default())
    }
}

/// `static native void check(String settings)`
#[unsafe(no_mangle)]
extern "system" fn Java_io_mattebox_spark_Native_check<'c>(
    mut env: EnvUnowned<'c>,
    _: JClass<'c>,
    settings: JString<'c>,
) {
    let checked = env.with_env(|env| -> Result<(), NativeError> {
        Ok(TaskEngine::check(&settings.try_to_string(env)?)?)
    });
    checked.resolve::<Throw>();
}

/// `static native long open(String settings, String query)`
#[unsafe(no_mangle)]
extern "system" fn Java_io_mattebox_spark_Native_open<'c>(
    mut env: EnvUnowned<'c>,
    _: JClass<'c>,
    settings: JString<'c>,
    query: JString<'c>,
) -> jlong {
    let opened = env.with_env(|env| -> Result<jlong, NativeError> {
        let query = match query.is_null() {
            true => None,
            false => Some(query.try_to_string(env)?),
        };
        open((settings.try_to_string(env)?, query))
    });
    opened.resolve::<Throw>()
}

/// `static native byte[] frame(long engine, String topic, int partition, long offset, long task,
/// byte[] key, byte[] value, byte[] headers)`
#[unsafe(no_mangle)]
extern "system" fn Java_io_mattebox_spark_Native_frame<'c>(
    mut env: EnvUnowned<'c>,
    _: JClass<'c>,
    engine: jlong,
    topic: JString<'c>,
    partition: jint,
    offset: jlong,
    task: jlong,
    key: JByteArray<'c>,
    value: JByteArray<'c>,
    headers: JByteArray<'c>,
) -> JByteArray<'c> {
    let made = env.with_env(|env| -> Result<JByteArray<'c>, NativeError> {
        let topic = topic.try_to_string(env)?;
        let bytes = |array: &JByteArray<'c>| match array.is_null() {
            true => Ok(None),
            false => env.convert_byte_array(array).map(Some),
        };
        let key = bytes(&key)?;
        let value = bytes(&value)?;
        let packed = bytes(&headers)?.unwrap_or_default();
        let headers = unpack(&packed).ok_or(NativeError::Headers)?;
        let record = mattebox_wire::Record {
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
        };
        let engine = find(engine)?;
        let origin = RecordOrigin {
            topic: &topic,
            partition,
            offset,
            task,
        };
        let row = match engine.frame(origin, &record) {
            Err(TaskError::StatesNeeded(_)) => return Ok(JByteArray::null()),
            made => made?,
        };
        Ok(env.byte_array_from_slice(&engine.pack(origin, &record, &row))?)
    });
    made.resolve::<Throw>()
}

/// `static native String stateFolder(long engine, String topic, int partition)`
#[unsafe(no_mangle)]
extern "system" fn Java_io_mattebox_spark_Native_stateFolder<'c>(
    mut env: EnvUnowned<'c>,
    _: JClass<'c>,
    engine: jlong,
    topic: JString<'c>,
    partition: jint,
) -> JString<'c> {
    let found = env.with_env(|env| -> Result<JString<'c>, NativeError> {
        let topic = topic.try_to_string(env)?;
        string(env, find(engine)?.state_folder(&topic, partition))
    });
    found.resolve::<Throw>()
}

/// `static native String listStates(long engine, String topic, int partition, long offset, long
/// task, String[] names)`
#[unsafe(no_mangle)]
extern "system" fn Java_io_mattebox_spark_Native_listStates<'c>(
    mut env: EnvUnowned<'c>,
    _: JClass<'c>,
    engine: jlong,
    topic: JString<'c>,
    partition: jint,
    offset: jlong,
    task: jlong,
    names: JObjectArray<'c, JString<'c>>,
) -> JString<'c> {
    let next = env.with_env(|env| -> Result<JString<'c>, NativeError> {
        let topic = topic.try_to_string(env)?;
        let mut listed = Vec::new();
        for place in 0..names.len(env)? {
            // There may be many names, and each would stay in memory until the call ends.
            let name = names.get_element(env, place)?;
            listed.push(name.try_to_string(env)?);
            env.delete_local_ref(name);
        }
        let origin = RecordOrigin {
            topic: &topic,
            partition,
            offset,
            task,
        };
        string(env, find(engine)?.list_states(origin, &listed)?)
    });
    next.resolve::<Throw>()
}

/// `static native String readState(long engine, String topic, int partition, long offset, long
/// task, String name, byte[] bytes)`
#[unsafe(no_mangle)]
extern "system" fn Java_io_mattebox_spark_Native_readState<'c>(
    mut env: EnvUnowned<'c>,
    _: JClass<'c>,
    engine: jlong,
    topic: JString<'c>,
    partition: jint,
    offset: jlong,
    task: jlong,
    name: JString<'c>,
    bytes: JByteArray<'c>,
) -> JString<'c> {
    let next = env.with_env(|env| -> Result<JString<'c>, NativeError> {
        let topic = topic.try_to_string(env)?;
        let name = name.try_to_string(env)?;
        let bytes = match bytes.is_null() {
            true => None,
            false => Some(env.convert_byte_array(&bytes)?),
        };
        let origin = RecordOrigin {
            topic: &topic,
            partition,
            offset,
            task,
        };
        let next = find(engine)?.read_state(origin, &name, bytes.as_deref())?;
        string(env, next)
    });
    next.resolve::<Throw>()
}

/// `static native byte[] complete(long engine, String topic, int partition, long task)`
#[unsafe(no_mangle)]
extern "system" fn Java_io_mattebox_spark_Native_complete<'c>(
    mut env: EnvUnowned<'c>,
    _: JClass<'c>,
    engine: jlong,
    topic: JString<'c>,
    partition: jint,
    task: jlong,
) -> JByteArray<'c> {
    let done = env.with_env(|env| -> Result<JByteArray<'c>, NativeError> {
        let topic = topic.try_to_string(env)?;
        Ok(match find(engine)?.complete(&topic, partition, task)? {
            Some(object) => env.byte_array_from_slice(&object.pack())?,
            None => JByteArray::null(),
        })
    });
    done.resolve::<Throw>()
}

/// `static native String stored(long engine, String topic, int partition, long task)`
#[unsafe(no_mangle)]
extern "system" fn Java_io_mattebox_spark_Native_stored<'c>(
    mut env: EnvUnowned<'c>,
    _: JClass<'c>,
    engine: jlong,
    topic: JString<'c>,
    partition: jint,
    task: jlong,
) -> JString<'c> {
    let old = env.with_env(|env| -> Result<JString<'c>, NativeError> {
        let topic = topic.try_to_string(env)?;
        let old = find(engine)?.stored(&topic, partition, task);
        string(env, Some(old.join("/")).filter(|names| !names.is_empty()))
    });
    old.resolve::<Throw>()
}

/// A text for Java, or null.
fn string<'c>(env: &mut Env<'c>, text: Option<String>) -> Result<JString<'c>, NativeError> {
    Ok(match text {
        Some(text) => env.new_string(text)?,
        None => JString::null(),
    })
}

fn open(key: EngineKey) -> Result<jlong, NativeError> {
    let mut engines = ENGINES.write().unwrap_or_else(PoisonError::into_inner);
    let place = match engines.iter().position(|(known, _)| *known == key) {
        Some(place) => place,
        None => {
            let engine = Arc::new(TaskEngine::open(&key.0, key.1.as_deref())?);
            engines.push((key, engine));
            engines.len() - 1
        }
    };
    Ok(jlong::try_from(place).unwrap_or(jlong::MAX))
}

fn find(handle: jlong) -> Result<Arc<TaskEngine>, NativeError> {
    let engines = ENGINES.read().unwrap_or_else(PoisonError::into_inner);
    let found = usize::try_from(handle)
        .ok()
        .and_then(|place| engines.get(place));
    found
        .map(|(_, engine)| engine.clone())
        .ok_or(NativeError::Handle(handle))
}

/// Headers as `MatteFunction.java` packs them: name and value of each, with their lengths in front,
/// -1 for none.
fn unpack(mut packed: &[u8]) -> Option<Vec<mattebox_wire::Header<'_>>> {
    fn part<'a>(packed: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
        let (length, rest) = packed.split_first_chunk()?;
        *packed = rest;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            return Some(None);
        };
        let (part, rest) = packed.split_at_checked(length)?;
        *packed = rest;
        Some(Some(part))
    }
    let mut headers = Vec::new();
    while !packed.is_empty() {
        let name = part(&mut packed)?;
        let value = part(&mut packed)?;
        // No header of ours has a name that is no UTF-8.
        if let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok()) {
            headers.push(mattebox_wire::Header { name, value });
        }
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_unpacked_and_a_missing_end_is_noticed() {
        let mut packed = Vec::new();
        for part in [Some("a"), Some("12"), Some("b"), None] {
            packed.extend(part.map_or(-1, |p| p.len() as i32).to_be_bytes());
            packed.extend(part.unwrap_or_default().as_bytes());
        }
        let headers = unpack(&packed).unwrap();
        let found: Vec<_> = headers.iter().map(|h| (h.name, h.value)).collect();
        assert_eq!(found, [("a", Some(&b"12"[..])), ("b", None)]);
        for at in (1..packed.len()).filter(|at| *at != 11) {
            assert!(unpack(&packed[..at]).is_none(), "{at}");
        }
    }
}
