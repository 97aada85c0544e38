//! Networks in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3), to know a proxy of ours by its address.

use super::Invalid;
use std::net::IpAddr;
use std::str::FromStr;

/// An address or a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

fn number(address: IpAddr) -> (u128, u32) {
    match address.to_canonical() {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

impl Network {
    /// True when the address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((ours, length), (theirs, other)) = (number(self.address), number(address));
        let shift = length - self.bits;
        length == other && (shift >= 128 || ours >> shift == theirs >> shift)
    }
}

impl FromStr for Network {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || Invalid::new("network", text, "write an address such as 10.0.0.1, or a range such as 10.0.0.0/8");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let length = number(address).1;
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= length).ok_or_else(bad)?,
            None => length,
        };
        Ok(Self { address, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4632_s3_1_a_range_holds_what_begins_with_the_same_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.8"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside}");
        }
        for text in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/x", "localhost"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
