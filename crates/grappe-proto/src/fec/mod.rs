//! Parity over GF(2^8): any K of a block's symbols give the block back.
