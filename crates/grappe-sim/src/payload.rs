//! Real bytes: packets that the sender seals, block buffers that a receiver fills, decodes and
//! compares, by the same code and seal that ship.

use std::collections::BTreeMap;

use grappe_proto::content::digest::{Digests, piece_digest};
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::Manifest;
use grappe_proto::content::stream::{Stream, symbols_in};
use grappe_proto::fec::{Code, ScalarKernel, SymbolSet};
use grappe_proto::limits::SYMBOL_SIZE;
use grappe_proto::seal::SealKey;
use grappe_proto::units::{BlockIndex, Digest, SymbolIndex};
use grappe_proto::wire::data::{HEADER_LEN, Header, TAG_LEN};

use crate::content::copy_of;

/// One symbol, as long as every symbol.
pub(crate) type Symbol = [u8; SYMBOL_SIZE as usize];

/// The sealed packet of `symbols` symbols of `block`.
pub(crate) fn seal_symbols(key: &SealKey, header: &Header, symbols: u8, block: &[u8]) -> Vec<u8> {
    let symbol = |index| symbol_of(block, header.of_symbol(index).symbol);
    let body: Vec<u8> = (0..symbols).flat_map(symbol).collect();
    seal(key, header, &body)
}

fn symbol_of(block: &[u8], number: SymbolIndex) -> Symbol {
    let mut symbol: Symbol = [0; SYMBOL_SIZE as usize];
    let count = symbols_in(block.len() as u32, SYMBOL_SIZE);
    if u16::from(number.0) < count {
        let data = &block[usize::from(number.0) * symbol.len()..];
        let len = data.len().min(symbol.len());
        symbol[..len].copy_from_slice(&data[..len]);
    } else {
        Code::new(count)
            .and_then(|code| {
                code.encode_parity(&ScalarKernel, block, SYMBOL_SIZE, number, &mut symbol)
            })
            .expect("a block of the stream has its parity");
    }
    symbol
}

/// The sealed packet of `body`.
pub(crate) fn seal(key: &SealKey, header: &Header, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
    key.seal(&header.emit(), header.sequence, body, &mut packet);
    packet
}

/// What one receiver holds.
#[derive(Debug, Default)]
pub(crate) struct Store {
    open: BTreeMap<BlockIndex, BTreeMap<SymbolIndex, Box<Symbol>>>,
    /// The bytes of every stored block.
    blocks: BTreeMap<BlockIndex, Vec<u8>>,
    plan: Option<(Manifest, Layout)>,
}

impl Store {
    pub(crate) fn insert(&mut self, block: BlockIndex, index: SymbolIndex, symbol: &Symbol) {
        self.open
            .entry(block)
            .or_default()
            .insert(index, Box::new(*symbol));
    }

    /// Takes in a block that was stored before.
    pub(crate) fn keep(&mut self, block: BlockIndex, bytes: Vec<u8>) {
        self.blocks.insert(block, bytes);
    }

    /// Forgets what came of blocks that are not whole.
    pub(crate) fn discard(&mut self) {
        self.open.clear();
    }

    /// Decodes `block`, of `len` bytes, from exactly the symbols that the machine says are there.
    pub(crate) fn store(
        &mut self,
        block: BlockIndex,
        len: u32,
        present: SymbolSet,
    ) -> Result<(), String> {
        let symbols = self.open.remove(&block).unwrap_or_default();
        let held: SymbolSet = symbols.keys().copied().collect();
        if held != present {
            return Err(format!(
                "block {block}: the machine counts other symbols than were delivered"
            ));
        }
        let mut bytes = vec![0; len as usize];
        let count = symbols_in(len, SYMBOL_SIZE);
        let mut parities = Vec::new();
        for (index, symbol) in &symbols {
            if u16::from(index.0) >= count {
                parities.push((*index, &symbol[..]));
                continue;
            }
            let place = &mut bytes[usize::from(index.0) * symbol.len()..];
            let part = place.len().min(symbol.len());
            place[..part].copy_from_slice(&symbol[..part]);
        }
        Code::new(count)
            .and_then(|code| {
                code.decode(&ScalarKernel, &mut bytes, SYMBOL_SIZE, &present, &parities)
            })
            .map_err(|error| format!("block {block}: {error}"))?;
        self.blocks.insert(block, bytes);
        Ok(())
    }

    /// A disk that does not keep what it was given.
    pub(crate) fn spoil(&mut self, block: BlockIndex) {
        if let Some(byte) = self
            .blocks
            .get_mut(&block)
            .and_then(|bytes| bytes.first_mut())
        {
            *byte ^= 1;
        }
    }

    /// Decodes the manifest and lays it out.
    pub(crate) fn prepare(&mut self, known: &Stream) -> Result<Stream, String> {
        let manifest = self.blocks.range(known.manifest_blocks());
        let encoded: Vec<u8> = manifest.flat_map(|(_, bytes)| bytes).copied().collect();
        let manifest = Manifest::decode(&encoded).map_err(|error| error.to_string())?;
        let layout = Layout::new(&manifest);
        let digests_len = Digests::encoded_len(layout.piece_count(), manifest.entries.len() as u32);
        let stream = known
            .with_content(&layout, digests_len)
            .map_err(|error| error.to_string())?;
        self.plan = Some((manifest, layout));
        Ok(stream)
    }

    /// The blocks that hold other bytes than the digests say, all digests when they differ themselves.
    pub(crate) fn wrong_blocks(&self, stream: &Stream, digests_hash: Digest) -> Vec<BlockIndex> {
        let encoded: Vec<u8> = self
            .blocks
            .range(stream.digests_blocks())
            .flat_map(|(_, bytes)| bytes)
            .copied()
            .collect();
        let all_digests = || {
            (stream.digests_blocks().start.0..stream.digests_blocks().end.0)
                .map(BlockIndex)
                .collect()
        };
        if *blake3::hash(&encoded).as_bytes() != digests_hash.0 {
            return all_digests();
        }
        let Some((manifest, layout)) = &self.plan else {
            return all_digests();
        };
        let decoded = Digests::decode(
            &encoded,
            layout.piece_count(),
            manifest.entries.len() as u32,
        );
        let Ok(digests) = decoded else {
            return all_digests();
        };
        let is_wrong = |block: &u32| {
            layout.pieces(*block).any(|piece| {
                let found = self.piece(manifest, stream, &piece);
                found != digests.pieces.get(piece.number as usize).copied()
            })
        };
        (0..layout.block_count())
            .filter(is_wrong)
            .filter_map(|block| stream.content_block(block))
            .collect()
    }

    /// The digest of the copy from the bytes that are stored.
    pub(crate) fn copy(&self, stream: &Stream) -> Digest {
        let Some((manifest, layout)) = &self.plan else {
            return Digest::default();
        };
        let numbers = (0..layout.piece_count()).filter_map(|number| layout.piece(number));
        let pieces: Vec<Digest> = numbers
            .map(|piece| self.piece(manifest, stream, &piece).unwrap_or_default())
            .collect();
        copy_of(manifest, layout, &pieces)
    }

    /// The bytes of `block`, once stored.
    pub(crate) fn block(&self, block: BlockIndex) -> Option<&[u8]> {
        self.blocks.get(&block).map(Vec::as_slice)
    }

    fn piece(
        &self,
        manifest: &Manifest,
        stream: &Stream,
        piece: &grappe_proto::content::layout::Piece,
    ) -> Option<Digest> {
        let block = self.blocks.get(&stream.content_block(piece.block)?)?;
        let bytes = block
            .get(piece.block_offset as usize..)?
            .get(..piece.len as usize)?;
        let (_, size) = manifest.files().find(|(entry, _)| *entry == piece.entry)?;
        Some(piece_digest(size, piece.file_offset, bytes))
    }
}
