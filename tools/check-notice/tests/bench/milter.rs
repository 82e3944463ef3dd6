//! A mail server's side of the milter protocol (version 6), enough to have a mail signed by opendkim.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Has a mail signed; the fields that the filter adds stand on top.
pub(super) fn ask(socket: &Path, mail: &str) -> String {
    let mut stream = connect(socket);
    let flags = [6_u32, 0x1ff, 0].map(u32::to_be_bytes).concat();
    send(&mut stream, b'O', &flags);
    assert_eq!(receive(&mut stream).0, b'O');
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    step(
        &mut stream,
        b'C',
        b"client.rights.example\x004\x00\x19127.0.0.1\0",
    );
    step(&mut stream, b'H', b"client.rights.example\0");
    step(&mut stream, b'M', b"<notice@rights.example>\0");
    step(&mut stream, b'R', b"<abuse@net.example>\0");
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        step(&mut stream, b'L', format!("{name}\0{value}\0").as_bytes());
    }
    step(&mut stream, b'N', b"");
    step(&mut stream, b'B', body.as_bytes());
    send(&mut stream, b'E', b"");
    let mut added = String::new();
    loop {
        let (kind, data) = receive(&mut stream);
        match kind {
            // Insert or add a field; the first has a position before it.
            b'i' | b'h' => {
                let text =
                    String::from_utf8(data[if kind == b'i' { 4 } else { 0 }..].to_vec()).unwrap();
                let mut parts = text.split('\0');
                let (name, value) = (parts.next().unwrap(), parts.next().unwrap());
                added.push_str(&format!(
                    "{name}: {}\r\n",
                    value
                        .trim_start()
                        .replace("\r\n", "\n")
                        .replace('\n', "\r\n")
                ));
            }
            b'a' | b'c' => break,
            b'r' | b't' => panic!("opendkim refused the mail"),
            _ => {}
        }
    }
    assert!(
        added.contains("DKIM-Signature"),
        "opendkim signed nothing: {added}"
    );
    added + mail
}

fn connect(socket: &Path) -> UnixStream {
    for _wait in 0..200 {
        if let Ok(stream) = UnixStream::connect(socket) {
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            return stream;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("opendkim opened no socket");
}

fn send(stream: &mut UnixStream, kind: u8, data: &[u8]) {
    let length = u32::try_from(data.len() + 1).unwrap();
    stream
        .write_all(&[&length.to_be_bytes(), [kind].as_slice(), data].concat())
        .unwrap();
}

fn receive(stream: &mut UnixStream) -> (u8, Vec<u8>) {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut data = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut data).unwrap();
    (data[0], data[1..].to_vec())
}

fn step(stream: &mut UnixStream, kind: u8, data: &[u8]) {
    send(stream, kind, data);
    let (answer, _) = receive(stream);
    assert!(
        matches!(answer, b'c' | b'a'),
        "opendkim answered {} to {}",
        char::from(answer),
        char::from(kind)
    );
}
