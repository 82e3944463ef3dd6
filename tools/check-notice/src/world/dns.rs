//! Asks a name server for TXT records over UDP, and over TCP where the answer is cut (RFC 1035). No cache.
//!
//! Only called with `--online`, and by `stamp`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use aws_lc_rs::rand;
use thiserror::Error;

/// How long one question waits.
const WAIT: Duration = Duration::from_secs(3);

/// Why a record is not known. Only [`DnsError::None`] says that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DnsError {
    /// The server says that there is no such record.
    #[error("the name server knows no such record")]
    None,
    /// No answer, or none that can be read.
    #[error("no answer from the name server")]
    Silent,
    /// A name that cannot be asked for.
    #[error("no name that can be asked for")]
    BadName,
}

/// The first name server of `/etc/resolv.conf`.
#[must_use]
pub fn name_server() -> Option<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let host = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("nameserver"))?
        .trim()
        .parse()
        .ok()?;
    Some(SocketAddr::new(host, 53))
}

/// The text of the first TXT record of a name.
///
/// # Errors
///
/// See [`DnsError`].
pub fn txt(server: SocketAddr, name: &str) -> Result<String, DnsError> {
    let mut id = [0_u8; 2];
    rand::fill(&mut id).map_err(|_| DnsError::Silent)?;
    let question = question(id, name).ok_or(DnsError::BadName)?;
    for _attempt in 0..2 {
        let Ok(answer) = ask_udp(server, &question) else {
            continue;
        };
        let cut = answer.get(2).is_some_and(|flags| flags & 2 != 0);
        let answer = if cut {
            ask_tcp(server, &question).map_err(|_| DnsError::Silent)?
        } else {
            answer
        };
        return read(&answer, &question);
    }
    Err(DnsError::Silent)
}

fn ask_udp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let local: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(local)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(WAIT))?;
    socket.send(question)?;
    let mut answer = vec![0; 4_096];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn ask_tcp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut size = [0; 2];
    stream.read_exact(&mut size)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(size))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn question(id: [u8; 2], name: &str) -> Option<Vec<u8>> {
    // Recursion wanted, one question.
    let mut out = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..=63).contains(length))?;
        out.push(length);
        out.extend_from_slice(label.as_bytes());
    }
    // TXT, IN.
    out.extend_from_slice(&[0, 0, 16, 0, 1]);
    (out.len() <= 12 + 255 + 4 && name.is_ascii()).then_some(out)
}

/// Reads an answer to a question; nothing in it is followed.
fn read(answer: &[u8], question: &[u8]) -> Result<String, DnsError> {
    let word = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    if answer.get(..2) != question.get(..2) {
        return Err(DnsError::Silent);
    }
    match answer.get(3).map(|flags| flags & 15) {
        Some(0) => {}
        Some(3) => return Err(DnsError::None),
        _ => return Err(DnsError::Silent),
    }
    let count = word(6).ok_or(DnsError::Silent)?;
    let mut at = skip_name(answer, 12).ok_or(DnsError::Silent)? + 4;
    for _record in 0..count.min(50) {
        at = skip_name(answer, at).ok_or(DnsError::Silent)?;
        let kind = word(at).ok_or(DnsError::Silent)?;
        let length = usize::from(word(at + 8).ok_or(DnsError::Silent)?);
        let data = answer
            .get(at + 10..at + 10 + length)
            .ok_or(DnsError::Silent)?;
        if kind == 16 {
            let mut text = Vec::new();
            let mut rest = data;
            while let Some((size, more)) = rest.split_first() {
                let size = usize::from(*size).min(more.len());
                text.extend_from_slice(&more[..size]);
                rest = &more[size..];
            }
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        at += 10 + length;
    }
    Err(DnsError::None)
}

fn skip_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    }
}
