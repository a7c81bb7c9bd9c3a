//! Which addresses may be connected to: the one rule that broker and cell both apply.
//!
//! Everything that is not plainly public is refused unless the connection allows its range:
//! loopback, private, link-local and so metadata, shared, multicast, reserved, and every way of
//! writing an IPv4 address as an IPv6 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Cidr;

/// Whether a connection may be made to `ip`: it is public, or one of `allowed` covers it.
#[must_use]
pub fn address_allowed(ip: IpAddr, allowed: &[Cidr]) -> bool {
    allowed.iter().any(|range| range.contains(ip)) || refused_range(ip).is_none()
}

/// The refused range that an address lies in.
#[must_use]
pub fn refused_range(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => refused_v4(ip),
        IpAddr::V6(ip) => refused_v6(ip),
    }
}

/// IANA's IPv4 special-purpose registry (RFC 6890), multicast, and a cloud's metadata service
/// that hides among public addresses.
fn refused_v4(ip: Ipv4Addr) -> Option<&'static str> {
    const RANGES: [(u32, u32, &str); 16] = [
        (0x0000_0000, 8, "this network"),
        (0x0A00_0000, 8, "private"),
        (0x6440_0000, 10, "shared address space"),
        (0x7F00_0000, 8, "loopback"),
        // 168.63.129.16: every Azure machine's WireServer.
        (0xA83F_8110, 32, "metadata"),
        (0xA9FE_0000, 16, "link-local"),
        (0xAC10_0000, 12, "private"),
        (0xC000_0000, 24, "protocol assignments"),
        (0xC000_0200, 24, "documentation"),
        (0xC058_6300, 24, "6to4 relay"),
        (0xC0A8_0000, 16, "private"),
        (0xC612_0000, 15, "benchmarking"),
        (0xC633_6400, 24, "documentation"),
        (0xCB00_7100, 24, "documentation"),
        (0xE000_0000, 4, "multicast"),
        (0xF000_0000, 4, "reserved"),
    ];
    let bits = ip.to_bits();
    RANGES
        .into_iter()
        .find(|(base, prefix, _)| bits >> (32 - prefix) == base >> (32 - prefix))
        .map(|(_, _, name)| name)
}

/// Only global unicast (`2000::/3`) is public, less what embeds IPv4 or is set aside in it.
fn refused_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let [first, second, third, ..] = ip.segments();
    if ip.to_ipv4_mapped().is_some() {
        return Some("v4-mapped");
    }
    if first == 0x0064 && second == 0xFF9B {
        return Some("NAT64");
    }
    if first >> 13 != 1 {
        return Some("not global unicast");
    }
    match (first, second) {
        (0x2001, 0x0000) => Some("Teredo"),
        (0x2001, 0x0DB8) | (0x3FFF, 0x0000..=0x0FFF) => Some("documentation"),
        (0x2001, 0x0001..=0x01FF) => Some("protocol assignments"),
        (0x2002, _) => Some("6to4"),
        (0x2620, 0x004F) if third == 0x8000 => Some("AS112"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_to_write_a_private_address_is_refused() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "168.63.129.16",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "fec0::1",
        ] {
            assert!(refused_range(text.parse().unwrap()).is_some(), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_not_refused() {
        for text in ["140.82.121.6", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert_eq!(refused_range(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn an_allowed_range_lets_through_what_it_covers_and_nothing_written_otherwise() {
        let allowed = ["127.0.0.1/32".parse().unwrap()];
        assert!(address_allowed("127.0.0.1".parse().unwrap(), &allowed));
        assert!(!address_allowed("127.0.0.2".parse().unwrap(), &allowed));
        assert!(!address_allowed("::ffff:127.0.0.1".parse().unwrap(), &allowed));
    }

    proptest! {
        #[test]
        fn no_way_to_write_an_ipv4_address_as_an_ipv6_one_is_let_through(
            [high, low]: [u16; 2],
            [a, b, c, d]: [u16; 4],
        ) {
            let ip = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
            for written in [
                ip.to_ipv6_mapped(),
                ip.to_ipv6_compatible(),
                Ipv6Addr::new(0x2002, high, low, a, b, c, d, 0),
                Ipv6Addr::new(0x64, 0xFF9B, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xFF9B, 1, a, b, c, high, low),
                Ipv6Addr::new(0x2001, 0, a, b, c, d, !high, !low),
                Ipv6Addr::new(0, 0, 0, 0, 0xFFFF, 0, high, low),
            ] {
                prop_assert!(!address_allowed(written.into(), &[]), "{}", written);
            }
        }

        #[test]
        fn what_the_standard_library_knows_to_be_special_is_refused(bits: u32, wide: u128) {
            let (v4, v6) = (Ipv4Addr::from_bits(bits), Ipv6Addr::from_bits(wide));
            let special_v4 = v4.is_private() || v4.is_loopback() || v4.is_link_local()
                || v4.is_multicast() || v4.is_broadcast() || v4.is_documentation()
                || v4.is_unspecified();
            let special_v6 = v6.is_loopback() || v6.is_unspecified() || v6.is_multicast()
                || v6.is_unique_local() || v6.is_unicast_link_local();
            prop_assert!(!special_v4 || refused_range(v4.into()).is_some(), "{}", v4);
            prop_assert!(!special_v6 || refused_range(v6.into()).is_some(), "{}", v6);
        }

        #[test]
        fn an_allowed_range_adds_itself_and_nothing_else(bits: u32, prefix in 8_u8..=32) {
            let ip = Ipv4Addr::from_bits(bits);
            let range: Cidr = format!("10.20.30.40/{prefix}").parse().unwrap();
            let allowed = address_allowed(ip.into(), &[range]);
            let covered = range.contains(ip.into());
            prop_assert_eq!(allowed, covered || refused_range(ip.into()).is_none());
        }
    }
}
