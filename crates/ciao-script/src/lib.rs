//! Conversations with TCP, one line an event, in packetdrill's notation, played against the sans-IO host in
//! virtual time.
//!
//! | question | file |
//! |---|---|
//! | How is a script written? | below, and [`mod@parse`] |
//! | Which events are there? | [`event`] |
//! | How is a segment written and compared? | [`notation`] |
//! | How are the arguments of a call written? | [`value`] |
//! | Which options and settings may stand on top of a script? | [`options`] |
//! | How is it played? | [`mod@play`] |
//! | What answers the segments, and how do they get there? | [`stage`], [`packets`] |
//! | What do the calls do? | [`calls`], [`sockets`], [`socket_options`], [`readiness`], [`errno`] |
//! | What can be asserted? | [`assertion`], [`facts`] |
//!
//! ```
//! let script = "
//!     `sysctl -q net.ipv4.tcp_timestamps=0`
//!     0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//!     +0...0.02 connect(3, ..., ...) = 0
//!     +0   > S 0:0(0) win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 8>
//!     +.02 < S. 0:0(0) ack 1 win 65535 <mss 1460>
//!     +0   > . 1:1(0) ack 1
//!     +0   %{ assert tcpi_state == TCP_ESTABLISHED }%
//! ";
//! ciao_script::play(script).unwrap_or_else(|failure| panic!("{failure}"));
//! ```
//!
//! A script plays twice, under IPv4 with an MTU of 1500 and under IPv6 with one of 1520, so that the MSS is
//! the same; `--ip_version=ipv4` or `ipv6` on top restricts it. Comments are `// …` and `/* … */`. On top
//! stand options, `--name=value`, and settings of the host as Linux names them, `` `sysctl -q name=value …`
//! ``. Then come events, `TIME ACTION`:
//!
//! * TIME: `0.25` seconds from the start, `+.1` seconds after the event before, `+.1~+.2` within these
//!   bounds, `*` whenever. Times are exact unless `--tolerance_usecs` says otherwise: there is no clock but
//!   the script's. `+0...0.1` stands before a call that blocks: made at +0, it returns at +0.1.
//! * `< FLAGS START:END(LEN) [ack N] win N [urg N] [<options>]`: a segment arrives. Without `win`, as in the
//!   segment before. In brackets before the flags: `[ce]`, `[ect0]`, `[ttl 63]`, `[tos 0x10]`; then ports,
//!   `8080 > 40000`.
//! * `> …`: the next segment that the stack sends. A long one is met by several in a row. Absent fields are
//!   not compared, and `<...>` stands for any options. A segment that the script does not expect is a
//!   failure.
//! * `< icmp unreachable host_unreachable [START:END(LEN)]`: an ICMP error about a segment of ours.
//! * `read(4, ..., 1000) = 1000`, `write(4, ..., 1000) = -1 EPIPE`: calls, see [`calls`].
//! * `%{ assert tcpi_snd_cwnd == 10 }%`: see [`facts`]. What packetdrill does not know begins with `ciao_`.
//!
//! Sequence numbers count from the initial ones, ours and the script's, which lie just before the end of the
//! number space. Our timestamps count milliseconds from the start of the script, unless our SYN says
//! otherwise. What is sent and what arrives is a pattern of its position in the stream; each byte is
//! compared wherever it comes out.
#![forbid(unsafe_code)]

pub mod assertion;
pub mod calls;
pub mod errno;
pub mod event;
pub mod facts;
pub mod notation;
pub mod numbers;
pub mod options;
pub mod packets;
pub mod parse;
pub mod play;
pub mod readiness;
pub mod socket_options;
pub mod sockets;
pub mod stage;
pub mod value;

pub use options::IpVersion;
pub use parse::parse;
pub use play::{Failure, Performance, perform, play};
