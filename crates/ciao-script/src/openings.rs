//! How do most scripts begin? With a handshake that takes 20 ms, and then something happens in ESTABLISHED.

/// We connect; no options but an MSS of 1000, so that segments have round numbers.
pub const CONNECTED: &str = "
    --timestamps=off
    --sack=off
    --window_scaling=off
    +0   connect
    +0   > S 0:0(0) win 65535 <mss 1460>
    +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000>
    +0   > . 1:1(0) ack 1
    +0   state ESTABLISHED
";

/// The same with SACK.
pub const CONNECTED_WITH_SACK: &str = "
    --timestamps=off
    --window_scaling=off
    +0   connect
    +0   > S 0:0(0) win 65535 <mss 1460,nop,nop,sackOK>
    +.02 < S. 0:0(0) ack 1 win 65535 <mss 1000,nop,nop,sackOK>
    +0   > . 1:1(0) ack 1
    +0   state ESTABLISHED
";

/// We connect with all that Linux offers, to a peer with the same. Segments hold 1448 bytes, the peer's
/// window and ours count in 256s; the peer's timestamp clock shows 1000 at the start.
pub const CONNECTED_WITH_OPTIONS: &str = "
    +0   connect
    +0   > S 0:0(0) win 65535 <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 8>
    +.02 < S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8>
    +0   > . 1:1(0) ack 1 <nop,nop,TS val 20 ecr 1000>
    +0   state ESTABLISHED
";

/// The peer connects; no options but an MSS of 1000.
pub const ACCEPTED: &str = "
    --timestamps=off
    --sack=off
    --window_scaling=off
    +0   listen
    +0   < S 0:0(0) win 65535 <mss 1000>
    +0   > S. 0:0(0) ack 1 win 65535 <mss 1460>
    +.02 < . 1:1(0) ack 1
    +0   accept
    +0   state ESTABLISHED
";
