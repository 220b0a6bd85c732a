//! HTTP requests to a port of this machine.
use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// The answer to a GET, with its head. `None`: there is no answer yet.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head = "HTTP/1.1\r\nHost: x\r\nConnection: close";
    write!(stream, "GET {path} {head}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
