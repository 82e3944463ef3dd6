//! Lines of another process's output, bounded in length whatever it prints.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::words::LINE_BYTES_MAX;

/// Bytes asked for at once.
const READ_BYTES: usize = 4096;

/// Reads lines; what a line has beyond [`LINE_BYTES_MAX`] is passed over.
pub(super) struct Lines<R> {
    input: Option<R>,
    buffer: Vec<u8>,
    lines: VecDeque<String>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) const fn new(input: Option<R>) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            lines: VecDeque::new(),
        }
    }

    /// Whether there will be no further line.
    pub(super) fn is_over(&self) -> bool {
        self.input.is_none() && self.lines.is_empty()
    }

    /// The next line without its end; `None` when the output has ended. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            let input = self.input.as_mut()?;
            self.buffer.reserve(READ_BYTES);
            let read = input.read_buf(&mut self.buffer).await.unwrap_or(0);
            if read == 0 {
                self.input = None;
                if !self.buffer.is_empty() {
                    self.buffer.push(b'\n');
                }
            }
            self.split();
        }
    }

    fn split(&mut self) {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line = &self.buffer[..end];
            self.lines
                .push_back(String::from_utf8_lossy(line).trim_end().to_owned());
            self.buffer.drain(..=end);
        }
        self.buffer.truncate(LINE_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whole_and_long_ones_cut() {
        let mut text = b"one\r\n\ntwo\n".to_vec();
        text.resize(text.len() + 3 * LINE_BYTES_MAX, b'x');
        text.extend_from_slice(b"\nlast");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let lines = runtime.block_on(async {
            let mut lines = Lines::new(Some(&text[..]));
            let mut all = Vec::new();
            while let Some(line) = lines.next().await {
                all.push(line);
            }
            assert!(lines.is_over());
            all
        });
        assert_eq!(lines[..3], ["one", "", "two"]);
        assert!(lines[3].len() <= LINE_BYTES_MAX);
        assert_eq!(lines[4], "last");
    }
}
