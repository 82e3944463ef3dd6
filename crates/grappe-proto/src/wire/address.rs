//! IP addresses in control messages: byte strings of 4 or 16 bytes.
//!
//! For minicbor's `with`.

use std::net::IpAddr;

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{self, Encoder, Write};

pub(super) fn encode<C, W: Write>(
    address: &IpAddr,
    encoder: &mut Encoder<W>,
    _context: &mut C,
) -> Result<(), encode::Error<W::Error>> {
    match address {
        IpAddr::V4(address) => encoder.bytes(&address.octets())?,
        IpAddr::V6(address) => encoder.bytes(&address.octets())?,
    };
    Ok(())
}

pub(super) fn decode<C>(decoder: &mut Decoder<'_>, _context: &mut C) -> Result<IpAddr, Error> {
    let bytes = decoder.bytes()?;
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        Ok(octets.into())
    } else if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        Ok(octets.into())
    } else {
        Err(Error::message("an address has 4 or 16 bytes"))
    }
}
