//! Opens data packets apart from the machine, on any thread and in any order: what is left to the machine
//! then is to count their symbols.
//!
//! Whether a symbol is wanted, or came before, is not known here.

use std::sync::Arc;

use crate::limits::SYMBOLS_WITH_PARITY_MAX;
use crate::seal::{SealKey, Unsealed};
use crate::wire::data::{HEADER_LEN, Header, Kind, TAG_LEN};

/// What it takes to open data packets of one session.
#[derive(Clone, Debug)]
pub struct Opener {
    pub(super) key: Arc<SealKey>,
    pub(super) tag: u32,
    pub(super) symbol_size: u16,
}

impl Opener {
    /// What opens packets sealed by `key`, with this `tag` and symbols of `symbol_size` bytes.
    pub fn new(key: SealKey, tag: u32, symbol_size: u16) -> Self {
        let key = Arc::new(key);
        Self {
            key,
            tag,
            symbol_size,
        }
    }

    /// Whether `packet` has the header and the length of a data packet of the session. Nothing is believed yet.
    pub fn fits(&self, packet: &[u8]) -> Option<Header> {
        let header = Header::read(packet).ok()?;
        let fits = header.tag == self.tag
            && header.kind == Kind::Data
            && self.symbols_carried(&header, packet.len()).is_some();
        fits.then_some(header)
    }

    /// How many symbols a data packet of `packet_len` bytes with this header carries; none where it can be no
    /// data packet.
    pub fn symbols_carried(&self, header: &Header, packet_len: usize) -> Option<u8> {
        let body = packet_len.checked_sub(HEADER_LEN + TAG_LEN)?;
        let size = usize::from(self.symbol_size);
        let count = body / size;
        let fits = usize::from(header.symbol.0) + count <= SYMBOLS_WITH_PARITY_MAX.into();
        let is_whole = count > 0 && body % size == 0;
        u8::try_from(count).ok().filter(|_| is_whole && fits)
    }

    /// Opens a data packet into `symbols`, which is as long as those that it carries.
    ///
    /// # Errors
    ///
    /// [`Unsealed`] when it was not sealed by the session's sender key or has another length.
    pub fn open(&self, header: &Header, packet: &[u8], symbols: &mut [u8]) -> Result<(), Unsealed> {
        self.key.open(header.sequence, packet, symbols)
    }

    /// Opens a data packet where it is: its symbols then stand between its header and its tag.
    ///
    /// # Errors
    ///
    /// [`Unsealed`] when it was not sealed by the session's sender key; the packet then holds no meaning.
    pub fn open_in_place(&self, header: &Header, packet: &mut [u8]) -> Result<(), Unsealed> {
        self.key.open_in_place(header.sequence, packet)
    }
}

/// The symbols in a data packet that was opened where it is.
pub fn symbols_within(packet: &[u8]) -> &[u8] {
    let end = packet.len().saturating_sub(TAG_LEN);
    packet.get(HEADER_LEN..end).unwrap_or_default()
}
