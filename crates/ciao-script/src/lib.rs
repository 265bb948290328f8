//! Conversations with TCP, one line an event, in packetdrill's notation, played against the sans-IO
//! connection in virtual time.
//!
//! | question | file |
//! |---|---|
//! | How is a script written? | below, and [`mod@parse`] |
//! | Which events are there? | [`event`] |
//! | How is a segment written and compared? | [`notation`] |
//! | Which options may stand on top of a script? | [`options`] |
//! | How do most scripts begin? | [`openings`] |
//! | How is it played? | [`mod@play`] |
//! | What answers the segments: a listener, a connection, TIME-WAIT? | [`endpoint`] |
//! | What do the calls and checks do? | [`calls`] |
//!
//! ```
//! ciao_script::play("
//!     --timestamps=off
//!     +0   connect
//!     +0   > S 0:0(0) win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 8>
//!     +.02 < S. 0:0(0) ack 1 win 65535 <mss 1460>
//!     +0   > . 1:1(0) ack 1
//!     +0   state ESTABLISHED
//! ").unwrap_or_else(|failure| panic!("{failure}"));
//! ```
//!
//! A line is `TIME ACTION`. Comments are `// …`.
//!
//! * TIME: `0.25` seconds from the start, `+.1` seconds after the line before, `+.1~+.2` within these bounds,
//!   `*` whenever.
//!   Without a time, at once. Times are exact unless `--tolerance_usecs` says otherwise: there is no clock
//!   but the script's.
//! * `< FLAGS START:END(LEN) [ack N] [win N] [urg N] [<options>]`: a segment arrives. Without `win`, as in
//!   the segment before.
//!   With `&` at the end of the line the next one arrives in the same batch, before the stack may answer.
//! * `> …`: the next segment that the stack sends. A long one is met by several in a row. Absent fields are
//!   not compared, and
//!   `<...>` stands for any options. A segment that the script does not expect is a failure.
//! * `< icmp KIND [START]`: an ICMP error about the segment that began at START.
//! * Calls: `connect`, `listen`, `accept`, `write N`, `write_urgent N`, `read N`, `peek N`, `shutdown`,
//!   `close`, `abort`, `set OPTION VALUES`. After `=` stands what is answered, if it is not N: `read 10 = 0`,
//!   `write 10 = Closed`.
//! * Checks: `state NAME`, `error NAME` or `no error`, `event NAME` or `no event NAME`, `dropped REASON`,
//!   `why TEXT`, and the numbers of
//!   [`calls`]: `cwnd N`, `ssthresh N`, `rto SECONDS`, `srtt SECONDS`, `received N`, `urgent N`.
//!
//! Sequence numbers count from the initial ones, which lie just before the end of the number space. What is
//! sent and what arrives is a pattern of its position in the stream; each byte is compared wherever it comes
//! out.
#![forbid(unsafe_code)]

pub mod calls;
pub mod endpoint;
pub mod event;
pub mod notation;
pub mod openings;
pub mod options;
pub mod parse;
pub mod play;

pub use parse::parse;
pub use play::{Failure, assert_plays, play};
