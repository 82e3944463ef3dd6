//! Makes the input of a measurement: flow text without an end, or complaints about it. Measures nothing.
//!
//!     flow_text flows GIGABYTES      as `nfdump -o csv` prints them, to standard output
//!     flow_text notices COUNT        an mbox of complaints about these flows, to standard output
//!     flow_text config               a configuration that believes both
//!
//! docs/check-notice.md has the commands that put them together.

use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;

/// Flows in the same second.
const PER_SECOND: u64 = 1_000;

/// Complaints are about the first so many flows: ten gigabytes have about ninety million.
const FLOWS_ACCUSED: u64 = 80_000_000;

/// One flow: numbers that look random and come again.
struct Flow {
    second: u64,
    address: Ipv4Addr,
    port: u64,
    peer: Ipv4Addr,
}

fn flow(number: u64) -> Flow {
    let n = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let byte = |shift: u32| (n >> shift & 255) as u8;
    Flow {
        second: number / PER_SECOND,
        address: Ipv4Addr::new(10, byte(16), byte(24), byte(32)),
        port: 1_024 + (n & 0x7fff),
        peer: Ipv4Addr::new(192, byte(40), byte(48), 1),
    }
}

/// `2026-03-01 12:00:00`, from a second of March.
fn hour(second: u64) -> String {
    format!(
        "2026-03-{:02} {:02}:{:02}:{:02}",
        1 + second / 86_400 % 28,
        second / 3_600 % 24,
        second / 60 % 60,
        second % 60
    )
}

fn flows(out: &mut impl Write, gigabytes: u64) -> std::io::Result<()> {
    let head = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt\n";
    out.write_all(head.as_bytes())?;
    let mut left = gigabytes * 1_000_000_000;
    let mut line = Vec::new();
    let (mut minute, mut text) = (u64::MAX, String::new());
    for number in 0.. {
        let one = flow(number);
        if one.second / 60 != minute {
            minute = one.second / 60;
            text = hour(minute * 60);
            text.truncate(17);
        }
        let second = one.second % 60;
        line.clear();
        writeln!(
            line,
            "{text}{second:02},{text}{second:02},0.000,{},{},{},443,TCP,...AP.SF,0,0,12,3456",
            one.address, one.peer, one.port
        )?;
        if line.len() as u64 > left {
            break;
        }
        left -= line.len() as u64;
        out.write_all(&line)?;
    }
    Ok(())
}

fn notices(out: &mut impl Write, count: u64) -> std::io::Result<()> {
    for number in 0..count {
        let one = flow(FLOWS_ACCUSED / count.max(1) * number);
        write!(
            out,
            "From x Mon Mar 30 12:00:00 2026\nFrom: Notices <notice@rights.example>\nTo: abuse@net.example\n\
             Subject: Notice of infringement\nDate: Mon, 30 Mar 2026 12:00:00 +0000\nMessage-ID: <{number}@rights.example>\n\
             Content-Type: text/plain\n\nWe saw an infringement.\n\nCase ID: {number}\nSource IP: {}\nSource Port: {}\n\
             Protocol: TCP\nTimestamp: {} UTC\nDestination IP: {}:443\n\n",
            one.address,
            one.port,
            hour(one.second),
            one.peer
        )?;
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let number = words.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    match what.as_str() {
        "flows" => flows(&mut out, number)?,
        "notices" => notices(&mut out, number)?,
        "config" => out.write_all(
            b"[network]\nown = ['10.0.0.0/8']\n[[source]]\nfile = 'flows'\nzone = 'UTC'\nserves = ['10.0.0.0/8']\n",
        )?,
        _ => eprintln!("usage: flow_text flows GIGABYTES | notices COUNT | config"),
    }
    out.flush()
}
