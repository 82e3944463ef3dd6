//! From a tree of files to a stream of blocks, and from blocks to verified hashes.
//!
//! `manifest` says what is copied, `layout` where each byte stands in the content, `stream` how the
//! objects of a copy follow one another, `digest` how the hashes of pieces become the hash that
//! `b3sum` prints, `block_set` which blocks are there. Files are read and written elsewhere.

pub mod block_set;
pub mod digest;
pub mod layout;
pub mod manifest;
pub mod stream;
pub mod survey;
