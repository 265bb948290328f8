//! Which rows does the table have? What each measures is said by its name; how, by the contender's own
//! file.

use crate::ciao_pair::{self, Interface, Link};
use crate::http::{self, Version};
use crate::kernel_peer;
use crate::measure::{Contenders, Measure, Row, Unit};
use crate::smoltcp_peer;
use ciao_stack::{Checksums, Offload, Segmentation};

/// smoltcp's window is its buffer; this one stays in L2 and did best among 64 KiB, 256 KiB and 1 MiB.
const SMOLTCP_BUFFER_BYTES: usize = 256 << 10;
/// The same for Ciao.
const CIAO_BUFFER_BYTES: u32 = 256 << 10;

/// Every row.
#[must_use]
pub fn all() -> Vec<Row> {
    let mut rows = streams();
    rows.extend(few());
    rows.extend(many());
    rows.extend(http());
    rows
}

fn row(name: &'static str, unit: Unit, contenders: fn() -> Contenders) -> Row {
    Row { name, unit, contenders }
}

fn streams() -> Vec<Row> {
    let gbit = Unit::GbitPerS;
    vec![
        row("stream, MTU 1500, checksums on", gbit, || stream(Wire::Ethernet, Sums::On, Interface::Copying)),
        row("stream, MTU 1500, checksums off", gbit, || {
            stream(Wire::Ethernet, Sums::Off, Interface::Copying)
        }),
        row("stream, MTU 1500, checksums on, Bytes", gbit, || {
            stream(Wire::Ethernet, Sums::On, Interface::Bytes)
        }),
        row("stream, 64 KiB, checksums on", gbit, || stream(Wire::Super, Sums::On, Interface::Copying)),
        row("stream, 64 KiB, checksums off", gbit, || stream(Wire::Super, Sums::Off, Interface::Copying)),
        row("stream, 64 KiB, checksums off, Bytes", gbit, || {
            stream(Wire::Super, Sums::Off, Interface::Bytes)
        }),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// Packets of 1,500 bytes.
    Ethernet,
    /// Packets of 64 KiB: super-segments, or an MTU of 65,535 where a contender has none or must sum.
    Super,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sums {
    On,
    Off,
}

fn stream(wire: Wire, sums: Sums, interface: Interface) -> Contenders {
    let checksums = if sums == Sums::On { Checksums::ByHost } else { Checksums::ByLink };
    let is_cut_by_link = wire == Wire::Super && sums == Sums::Off;
    let segmentation = if is_cut_by_link { Segmentation::ByLink } else { Segmentation::ByHost };
    let smoltcp_mtu = if wire == Wire::Super { 65_535 } else { 1500 };
    let mtu = if is_cut_by_link { 1500 } else { smoltcp_mtu };
    let link = Link { mtu, offload: Offload { segmentation, checksums }, buffer_bytes: CIAO_BUFFER_BYTES };
    let smoltcp_sums =
        if sums == Sums::On { smoltcp_peer::Checksums::On } else { smoltcp_peer::Checksums::Off };
    Contenders {
        ciao: Some(ciao_pair::stream(link, interface)),
        smoltcp: Some(smoltcp_peer::stream(usize::from(smoltcp_mtu), SMOLTCP_BUFFER_BYTES, smoltcp_sums)),
        kernel: Some(kernel_peer::stream()),
    }
}

fn few() -> Vec<Row> {
    vec![
        row("echo of 1 byte", Unit::Nanoseconds, || Contenders {
            ciao: Some(ciao_pair::echo(0)),
            smoltcp: Some(smoltcp_peer::echo(1)),
            kernel: Some(kernel_peer::echo(0)),
        }),
        row("connections, no others", Unit::PerSecond, || Contenders {
            ciao: Some(ciao_pair::connections(0)),
            smoltcp: Some(smoltcp_peer::connections()),
            kernel: Some(kernel_peer::connections()),
        }),
        row("connections among 100,000", Unit::PerSecond, || ciao_alone(ciao_pair::connections(100_000))),
        row("idle end, memory", Unit::Bytes, || Contenders {
            ciao: Some(ciao_pair::idle_bytes()),
            smoltcp: Some(smoltcp_peer::idle_bytes()),
            kernel: None,
        }),
        row("half-open, memory", Unit::Bytes, || ciao_alone(ciao_pair::half_open_bytes())),
        row("TIME-WAIT, memory", Unit::Bytes, || ciao_alone(ciao_pair::time_wait_bytes())),
    ]
}

fn http() -> Vec<Row> {
    fn contenders(version: Version) -> Contenders {
        Contenders {
            ciao: Some(http::over_ciao(version)),
            smoltcp: None,
            kernel: Some(http::over_kernel(version)),
        }
    }
    vec![
        row("HTTP/1.1 requests", Unit::PerSecond, || contenders(Version::Http1)),
        row("HTTP/2 requests", Unit::PerSecond, || contenders(Version::Http2)),
    ]
}

fn ciao_alone(measure: Measure) -> Contenders {
    Contenders { ciao: Some(measure), ..Contenders::default() }
}

/// Sockets are counted at each host, as the aims are. smoltcp has both ends of a connection in one set, and
/// the kernel has them in one process, which may open 20,000.
fn many() -> Vec<Row> {
    let ns = Unit::Nanoseconds;
    vec![
        row("idle poll among 10", ns, || Contenders {
            ciao: Some(ciao_pair::idle_poll(10)),
            smoltcp: Some(smoltcp_peer::idle_poll(5)),
            kernel: None,
        }),
        row("idle poll among 10,000", ns, || Contenders {
            ciao: Some(ciao_pair::idle_poll(10_000)),
            smoltcp: Some(smoltcp_peer::idle_poll(5_000)),
            kernel: None,
        }),
        row("idle poll among 1,000,000", ns, || ciao_alone(ciao_pair::idle_poll(1_000_000))),
        row("echo among 10", ns, || Contenders {
            ciao: Some(ciao_pair::echo(10)),
            smoltcp: Some(smoltcp_peer::echo(5)),
            kernel: Some(kernel_peer::echo(5)),
        }),
        row("echo among 10,000", ns, || Contenders {
            ciao: Some(ciao_pair::echo(10_000)),
            smoltcp: Some(smoltcp_peer::echo(5_000)),
            kernel: Some(kernel_peer::echo(5_000)),
        }),
        row("echo among 1,000,000", ns, || ciao_alone(ciao_pair::echo(1_000_000))),
    ]
}
