//! The erasure code of a block: a systematic Cauchy Reed-Solomon code over GF(2^8).
//!
//! Symbols 0 to K - 1 are the data itself. Parity symbol j, from K to 255, is the sum over all data
//! symbols i of `coefficient(j, i)` times the symbol. Any K of the 256 symbols give the block back,
//! because every square part of a Cauchy matrix has an inverse (J. Blömer et al., "An XOR-Based
//! Erasure-Resilient Coding Scheme", 1995). What is on the wire or missing is not known here.

use thiserror::Error;

use super::{Kernel, SymbolSet, field};
use crate::content::stream::symbols_in;
use crate::limits::SYMBOLS_WITH_PARITY_MAX;
use crate::units::SymbolIndex;

/// Why a block could not be encoded or decoded.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FecError {
    /// A block must have 1 to 255 data symbols, so that there is room for parity.
    #[error("a code over {count} data symbols is not possible")]
    SymbolCount {
        /// The number asked for.
        count: u16,
    },
    /// The block's length and the symbol size do not make the K symbols of this code.
    #[error("{len} bytes are not {expected} symbols")]
    BlockLength {
        /// Bytes in the block.
        len: usize,
        /// The K of the code.
        expected: u16,
    },
    /// A parity symbol's bytes, given or to be filled, are not exactly one symbol.
    #[error("parity symbol {} has {len} bytes", symbol.0)]
    ParityLength {
        /// The symbol.
        symbol: SymbolIndex,
        /// Its bytes.
        len: usize,
    },
    /// The number of a data symbol where parity belongs.
    #[error("symbol {} is data, not parity", symbol.0)]
    NotParity {
        /// The symbol.
        symbol: SymbolIndex,
    },
    /// The same parity symbol twice.
    #[error("parity symbol {} is given twice", symbol.0)]
    Repeated {
        /// The symbol.
        symbol: SymbolIndex,
    },
    /// Fewer parity symbols than data symbols to recover.
    #[error("{parities} parity symbols cannot recover {missing} data symbols")]
    TooFewParities {
        /// Data symbols that lack.
        missing: u16,
        /// Parity symbols at hand.
        parities: u16,
    },
}

/// The code of blocks with K data symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// K: data symbols in a block, 1 to 255.
    data_symbols: u16,
}

impl Code {
    /// The code over `data_symbols` data symbols, 1 to 255.
    pub const fn new(data_symbols: u16) -> Result<Self, FecError> {
        if data_symbols == 0 || data_symbols >= SYMBOLS_WITH_PARITY_MAX {
            return Err(FecError::SymbolCount {
                count: data_symbols,
            });
        }
        Ok(Self { data_symbols })
    }

    /// K: data symbols in a block, 1 to 255.
    pub const fn data_symbols(self) -> u16 {
        self.data_symbols
    }

    /// How many different parity symbols there are: 256 - K.
    pub const fn parity_symbols(self) -> u16 {
        SYMBOLS_WITH_PARITY_MAX - self.data_symbols
    }

    /// The parity symbol number `nth`, from zero; after the last one begins the first again.
    pub const fn parity_symbol(self, nth: u32) -> SymbolIndex {
        let nth = nth % self.parity_symbols() as u32;
        SymbolIndex((self.data_symbols as u32 + nth) as u8)
    }

    /// Computes symbol `parity` (K to 255) of `block` into `out`.
    ///
    /// `block` is the data of K symbols of `symbol_size` bytes, of which the last may be shorter: it
    /// counts as filled up with zeros. `out` has `symbol_size` bytes. Costs K calls of the kernel.
    pub fn encode_parity(
        self,
        kernel: &impl Kernel,
        block: &[u8],
        symbol_size: u16,
        parity: SymbolIndex,
        out: &mut [u8],
    ) -> Result<(), FecError> {
        self.check_block(block, symbol_size)?;
        self.check_parity(parity, out, symbol_size)?;
        out.fill(0);
        for (column, data) in block.chunks(usize::from(symbol_size)).enumerate() {
            mul_add(kernel, out, data, coefficient(parity, column as u8));
        }
        Ok(())
    }

    /// Recovers in place the data symbols of `block` that are not in `present`.
    ///
    /// `parities` are parity symbols (K to 255) with their `symbol_size` bytes, at least as many as
    /// data symbols lack; further ones are ignored, as are members of `present` that are not data.
    /// Costs K calls of the kernel for each symbol recovered: the work follows the loss, not the
    /// block. On error the block is as it was. Without loss nothing is done.
    pub fn decode(
        self,
        kernel: &impl Kernel,
        block: &mut [u8],
        symbol_size: u16,
        present: &SymbolSet,
        parities: &[(SymbolIndex, &[u8])],
    ) -> Result<(), FecError> {
        self.check_block(block, symbol_size)?;
        let missing: Vec<SymbolIndex> = present.missing(self.data_symbols).collect();
        let Some(parities) = parities.get(..missing.len()) else {
            return Err(FecError::TooFewParities {
                missing: missing.len() as u16,
                parities: parities.len() as u16,
            });
        };
        self.check_parities(parities, symbol_size)?;

        let rows: Vec<SymbolIndex> = parities.iter().map(|(symbol, _)| *symbol).collect();
        let sums = remainders(kernel, block, symbol_size, present, parities);
        let solution = Solution::new(&rows, &missing);
        for (unknown, column) in missing.iter().enumerate() {
            let Some(data) = block
                .chunks_mut(usize::from(symbol_size))
                .nth(usize::from(column.0))
            else {
                continue;
            };
            data.fill(0);
            for (equation, sum) in sums.chunks(usize::from(symbol_size)).enumerate() {
                mul_add(kernel, data, sum, solution.factor(unknown, equation));
            }
        }
        Ok(())
    }

    fn check_block(self, block: &[u8], symbol_size: u16) -> Result<(), FecError> {
        let len = u32::try_from(block.len()).unwrap_or(u32::MAX);
        if symbols_in(len, symbol_size) == self.data_symbols {
            return Ok(());
        }
        Err(FecError::BlockLength {
            len: block.len(),
            expected: self.data_symbols,
        })
    }

    fn check_parity(self, symbol: SymbolIndex, bytes: &[u8], size: u16) -> Result<(), FecError> {
        if u16::from(symbol.0) < self.data_symbols {
            return Err(FecError::NotParity { symbol });
        }
        if bytes.len() != usize::from(size) {
            return Err(FecError::ParityLength {
                symbol,
                len: bytes.len(),
            });
        }
        Ok(())
    }

    fn check_parities(self, parities: &[(SymbolIndex, &[u8])], size: u16) -> Result<(), FecError> {
        let mut seen = SymbolSet::EMPTY;
        for (symbol, bytes) in parities {
            self.check_parity(*symbol, bytes, size)?;
            if !seen.insert(*symbol) {
                return Err(FecError::Repeated { symbol: *symbol });
            }
        }
        Ok(())
    }
}

/// The factor with which data symbol `column` enters symbol `parity`: 1 / (parity + column).
///
/// The Cauchy matrix's two sets of points are the symbol numbers themselves, K to 255 for the rows
/// and 0 to K - 1 for the columns. So the factor depends on the two numbers only, not on K, and two
/// sides that would disagree on the length of a block still agree on its parity. Never zero for a
/// parity symbol; zero where both numbers are equal, which then are not a parity and a data symbol.
pub fn coefficient(parity: SymbolIndex, column: u8) -> u8 {
    field::inverse(field::add(parity.0, column))
}

/// What the missing data symbols contribute to each of `parities`: the parity less all the data that
/// is there. One symbol after the other, `symbol_size` bytes each.
fn remainders(
    kernel: &impl Kernel,
    block: &[u8],
    symbol_size: u16,
    present: &SymbolSet,
    parities: &[(SymbolIndex, &[u8])],
) -> Vec<u8> {
    let size = usize::from(symbol_size);
    let mut sums = Vec::with_capacity(parities.len() * size);
    for (_, bytes) in parities {
        sums.extend_from_slice(bytes);
    }
    if sums.is_empty() {
        return sums;
    }
    // Data outside, parities inside: each data symbol is read from memory once.
    for (column, data) in block.chunks(size).enumerate() {
        if !present.contains(SymbolIndex(column as u8)) {
            continue;
        }
        for (sum, (parity, _)) in sums.chunks_mut(size).zip(parities) {
            mul_add(kernel, sum, data, coefficient(*parity, column as u8));
        }
    }
    sums
}

/// The inverse of the square Cauchy matrix of some parity symbols (rows) and as many missing data
/// symbols (columns).
///
/// With rows x and columns y, the element for column i and row j is `u_i * v_j / (x_j + y_i)` where
/// `u_i` is the product of all `x_k + y_i` over the product of all other `y_k + y_i`, and `v_j` the
/// same with x and y exchanged (S. Schechter, "On the inversion of certain matrices", 1959). So L
/// losses cost L^2 multiplications of single numbers and memory for 2 L.
struct Solution<'a> {
    rows: &'a [SymbolIndex],
    columns: &'a [SymbolIndex],
    row_factors: Vec<u8>,
    column_factors: Vec<u8>,
}

impl<'a> Solution<'a> {
    /// Rows and columns are equally many, and no number occurs twice.
    fn new(rows: &'a [SymbolIndex], columns: &'a [SymbolIndex]) -> Self {
        let row_factors = rows.iter().map(|row| ratio(*row, columns, rows)).collect();
        let column_factors = columns
            .iter()
            .map(|column| ratio(*column, rows, columns))
            .collect();
        Self {
            rows,
            columns,
            row_factors,
            column_factors,
        }
    }

    /// The factor with which equation number `equation` enters unknown number `unknown`.
    fn factor(&self, unknown: usize, equation: usize) -> u8 {
        let outer = field::multiply(self.column_factors[unknown], self.row_factors[equation]);
        field::multiply(
            outer,
            coefficient(self.rows[equation], self.columns[unknown].0),
        )
    }
}

/// The product of the distances of `point` from all `others`, over that from its own kind.
fn ratio(point: SymbolIndex, others: &[SymbolIndex], own: &[SymbolIndex]) -> u8 {
    let above = others.iter().map(|other| field::add(point.0, other.0));
    let apart = own.iter().filter(|other| **other != point);
    let below = apart.map(|other| field::inverse(field::add(point.0, other.0)));
    above.chain(below).fold(1, field::multiply)
}

/// Adds `factor` times `src` to the beginning of `dst`, as far as both reach: the last symbol of a
/// block may be short, and zeros add nothing.
fn mul_add(kernel: &impl Kernel, dst: &mut [u8], src: &[u8], factor: u8) {
    let len = dst.len().min(src.len());
    let (dst, src) = (&mut dst[..len], &src[..len]);
    match factor {
        1 => kernel.add(dst, src),
        _ => kernel.mul_add(dst, src, factor),
    }
}

#[cfg(test)]
mod tests;
