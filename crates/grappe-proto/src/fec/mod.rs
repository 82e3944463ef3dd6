//! Parity over GF(2^8): any K of a block's symbols give the block back.
//!
//! `code` says which symbol is which combination and undoes it, `symbol_set` says which symbols
//! somebody has. The multiplication of whole symbols is a [`Kernel`] that the caller brings: this
//! crate has a portable one, the machine-specific ones live outside.

pub mod code;
pub mod field;
pub mod kernel;
pub mod symbol_set;

pub use code::{Code, FecError};
pub use kernel::{Kernel, ScalarKernel};
pub use symbol_set::SymbolSet;
