//! USSD as a modem hands it out: from the bytes on a serial line to the operator's text.
//!
//! Pure: bytes in, text out. What the text means is `answer`'s business, how the bytes were fetched
//! `modem`'s. 3GPP TS 27.007 clause 7.15 (`+CUSD`), 3GPP TS 23.038 (alphabets).

mod cusd;
mod decode;
pub mod gsm7;

pub use cusd::{Cusd, Mode, parse_cusd};
pub use decode::{Coding, Decoded, decode};

/// Why a conversation holds no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// No `+CUSD` line: the network has not answered, or not yet.
    #[error("no +CUSD in what the modem sent: the network has not answered")]
    Absent,
    /// A `+CUSD` line without a text.
    #[error("the network ended the dialogue without a text (+CUSD: {0})")]
    Empty(u8),
    /// The network or another program took the answer.
    #[error("no answer: {0}")]
    Refused(Mode),
}

/// The answer in the bytes of a conversation, decoded.
///
/// Several `+CUSD` lines may come for one question: a text that ends the dialogue without a figure
/// (`2,"Initiating Release"`), then the answer. The last one with a digit in it counts, else the last
/// with any text.
///
/// # Errors
/// When no line holds a text; says what the network said instead.
pub fn best_answer(bytes: &[u8]) -> Result<(Cusd, Decoded), NoAnswer> {
    let lines = parse_cusd(bytes);
    let mut texts: Vec<(Cusd, Decoded)> = lines
        .iter()
        .filter(|line| line.mode.may_carry_text())
        .filter(|line| line.text.as_ref().is_some_and(|text| !text.is_empty()))
        .map(|line| (line.clone(), decode(line)))
        .collect();
    let with_digit = texts
        .iter()
        .rposition(|(_, decoded)| decoded.text.chars().any(char::is_numeric));
    let chosen = with_digit.or_else(|| texts.len().checked_sub(1));
    match chosen {
        Some(index) => Ok(texts.swap_remove(index)),
        None => Err(match lines.last() {
            None => NoAnswer::Absent,
            Some(line) if line.mode.may_carry_text() => NoAnswer::Empty(line.mode.number()),
            Some(line) => NoAnswer::Refused(line.mode),
        }),
    }
}
