//! From a tree of files to a stream of blocks, and from blocks to verified hashes.
//!
//! `manifest` says what is copied, `layout` where each byte stands in the stream, `digest` how the
//! hashes of blocks become the hash that `b3sum` prints. Files are read and written elsewhere.

pub mod layout;
pub mod manifest;
