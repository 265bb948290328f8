//! Whatever comes, in whatever order: a connection neither panics nor forgets its timers, nor sends what it
//! must not.

use bytes::Bytes;
use ciao_tcp::{
    Config, Connection, Event, HalfOpen, HalfOpenAnswer, MemoryLevel, Segment, Setup, SocketOptions,
    TcpState, Tracing,
};
use ciao_wire::{
    FastOpenCookie, Instant, Payload, SackBlock, SackBlocks, SeqNum, TcpFlags, TcpHeader, TcpOptions,
    Timestamps,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const ISS: u32 = u32::MAX - 3000;
const IRS: u32 = 0x7fff_f000;

/// One thing that happens to a connection. Offsets are near the edges where comparisons decide.
#[derive(Clone, Debug)]
enum Input {
    Segment {
        seq: i32,
        ack: i32,
        flags: u8,
        window: u16,
        len: u16,
        timestamp: Option<i8>,
        sack: Option<(i16, u16)>,
        urgent: u16,
    },
    Send(usize),
    SendUrgent(usize),
    UserTimeout(Option<u16>),
    Memory(MemoryLevel),
    Flow {
        cork: bool,
        notsent_lowat: Option<u32>,
        receive_lowat: Option<u32>,
    },
    Receive(usize),
    Shutdown,
    Close,
    Abort,
    Wait(u32),
    Timeout,
}

fn near(range: i32) -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(0), 2 => -2..=2_i32, 2 => -range..=range, 1 => any::<i32>()]
}

fn input() -> impl Strategy<Value = Input> {
    let flags = prop_oneof![
        6 => Just(0x10_u8),
        3 => Just(0x18_u8),
        2 => Just(0x11_u8),
        1 => Just(0x12_u8),
        1 => Just(0x02_u8),
        1 => Just(0x04_u8),
        2 => any::<u8>(),
    ];
    let window = prop_oneof![Just(0_u16), Just(1), Just(500), Just(65_535), any::<u16>()];
    let len = prop_oneof![3 => Just(0_u16), 1 => 1..3000_u16];
    let timestamp = prop::option::weighted(0.8, -3..=3_i8);
    let sack = prop::option::weighted(0.3, (-2000..8000_i16, 0..4000_u16));
    let segment = (near(70_000), near(70_000), flags, window, len, timestamp, sack, any::<u16>()).prop_map(
        |(seq, ack, flags, window, len, timestamp, sack, urgent)| Input::Segment {
            seq,
            ack,
            flags,
            window,
            len,
            timestamp,
            sack,
            urgent,
        },
    );
    prop_oneof![
        12 => segment,
        3 => (1..20_000_usize).prop_map(Input::Send),
        1 => (1..2_000_usize).prop_map(Input::SendUrgent),
        1 => any::<Option<u16>>().prop_map(Input::UserTimeout),
        1 => memory().prop_map(Input::Memory),
        1 => flow(),
        3 => (1..20_000_usize).prop_map(Input::Receive),
        1 => Just(Input::Shutdown),
        1 => Just(Input::Close),
        1 => Just(Input::Abort),
        3 => (0..3_000_000_u32).prop_map(Input::Wait),
        3 => Just(Input::Timeout),
    ]
}

fn memory() -> impl Strategy<Value = MemoryLevel> {
    prop_oneof![Just(MemoryLevel::Plenty), Just(MemoryLevel::Scarce), Just(MemoryLevel::Exhausted)]
}

fn flow() -> impl Strategy<Value = Input> {
    let mark = || prop::option::of(0..5_000_u32);
    (any::<bool>(), mark(), mark()).prop_map(|(cork, notsent_lowat, receive_lowat)| Input::Flow {
        cork,
        notsent_lowat,
        receive_lowat,
    })
}

fn setup(iss: u32) -> Setup {
    Setup {
        local_port: 1,
        remote_port: 2,
        iss: SeqNum(iss),
        timestamp_offset: 7,
        announce_mss: 1460,
        default_mss: 536,
        tracing: Tracing::On,
    }
}

fn syn(ack: bool) -> Segment {
    let flags = if ack { TcpFlags::SYN | TcpFlags::ACK } else { TcpFlags::SYN };
    let options = TcpOptions {
        mss: Some(1000),
        window_scale: Some(2),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 100, echo: 0 }),
        ..TcpOptions::default()
    };
    let header = TcpHeader {
        source_port: 2,
        destination_port: 1,
        seq: SeqNum(IRS),
        ack: SeqNum(ISS) + 1,
        flags,
        window: 40_000,
        options,
        ..TcpHeader::default()
    };
    Segment { header, ..Segment::default() }
}

/// Data that a SYN carries.
const SYN_DATA: &[u8] = &[1; 400];
/// Of TCP Fast Open: the client, whose SYN is out, and the server, whose SYN-ACK is not.
const FAST_CLIENT: u8 = 3;
const FAST_SERVER: u8 = 4;

/// A connection in one of the states from which a run may begin.
fn begin(now: Instant, config: &Arc<Config>, start: u8) -> Connection {
    let exchange = SocketOptions { exchange_user_timeout: true, ..SocketOptions::DEFAULT };
    if start == FAST_CLIENT {
        let mut connection = Connection::closed(config, &exchange, &setup(ISS));
        connection.connect();
        connection.offer_fast_open(FastOpenCookie::new(&[7; 8]).expect("a cookie"), 1000);
        connection.send(now, SYN_DATA).expect("there is room");
        while connection.poll_transmit(now).is_some() {}
        return connection;
    }
    if start == FAST_SERVER {
        let mut syn = syn(false);
        syn.payload = Payload::from(Bytes::from_static(SYN_DATA));
        let mut connection = Connection::closed(config, &exchange, &setup(ISS));
        connection.fast_open(now, &syn, None);
        return connection;
    }
    if start == 0 {
        let mut connection = Connection::closed(config, &SocketOptions::DEFAULT, &setup(ISS));
        connection.connect();
        while connection.poll_transmit(now).is_some() {}
        return connection;
    }
    if start == 1 {
        let mut connection = begin(now, config, 0);
        connection.handle_segment(now, syn(true));
        return connection;
    }
    let mut half_open = HalfOpen::new(now, config, &SocketOptions::DEFAULT, &setup(ISS), &syn(false));
    while half_open.poll_transmit(now, config).is_some() {}
    let mut ack = syn(true);
    ack.header.flags = TcpFlags::ACK;
    ack.header.seq += 1;
    ack.header.options =
        TcpOptions { timestamps: Some(Timestamps { value: 100, echo: 7 }), ..TcpOptions::default() };
    assert!(matches!(half_open.handle_segment(&ack), HalfOpenAnswer::Establish));
    let mut connection = Connection::closed(config, &SocketOptions::DEFAULT, &half_open.setup());
    half_open.establish(&mut connection, Tracing::On);
    connection.handle_segment(now, ack);
    connection
}

/// What a run remembers to place its segments and to check what comes out.
struct Run {
    connection: Connection,
    now: Instant,
    /// SND.NXT and RCV.NXT as the peer could know them.
    snd_nxt: SeqNum,
    rcv_nxt: Option<SeqNum>,
    closed_seen: bool,
    urgent_sent: bool,
    /// The handshake was ours; a SYN that the run made up may lack the option.
    timestamps_agreed: bool,
}

impl Run {
    fn apply(&mut self, input: &Input) {
        let now = self.now;
        let connection = &mut self.connection;
        match input {
            Input::Segment { seq, ack, flags, window, len, timestamp, sack, urgent } => {
                let place = |base: SeqNum, offset: i32| SeqNum(base.0.wrapping_add_signed(offset));
                let mut blocks = SackBlocks::EMPTY;
                if let Some((start, len)) = sack {
                    let start = place(self.snd_nxt, i32::from(*start) - 8000);
                    blocks.push(SackBlock { start, end: start + u32::from(*len) });
                }
                let timestamps = timestamp
                    .map(|value| Timestamps { value: 100_u32.wrapping_add_signed(value.into()), echo: 7 });
                let header = TcpHeader {
                    source_port: 2,
                    destination_port: 1,
                    seq: place(self.rcv_nxt.unwrap_or(SeqNum(IRS)), *seq),
                    ack: place(self.snd_nxt, *ack),
                    flags: TcpFlags(*flags),
                    window: *window,
                    urgent: *urgent,
                    options: TcpOptions {
                        timestamps,
                        sack: blocks,
                        user_timeout: urgent.is_multiple_of(5).then_some(*urgent),
                        ..TcpOptions::default()
                    },
                };
                let payload = Payload::from(Bytes::from(vec![0; usize::from(*len)]));
                connection.handle_segment(now, Segment { header, payload, ..Segment::default() });
            }
            Input::Send(len) => drop(connection.send(now, &vec![1; *len])),
            Input::SendUrgent(len) => {
                self.urgent_sent |= connection.send_urgent(now, &vec![1; *len]).is_ok();
            }
            Input::UserTimeout(seconds) => {
                let user_timeout = seconds.map(|seconds| Duration::from_secs(seconds.into()));
                let options = SocketOptions { user_timeout, ..connection.options() };
                connection.set_options(now, options);
            }
            Input::Memory(level) => connection.set_memory(*level),
            Input::Flow { cork, notsent_lowat, receive_lowat } => {
                let (cork, notsent_lowat, receive_lowat) = (*cork, *notsent_lowat, *receive_lowat);
                let options = SocketOptions { cork, notsent_lowat, receive_lowat, ..connection.options() };
                connection.set_options(now, options);
            }
            Input::Receive(len) => drop(connection.receive(now, &mut vec![0; *len])),
            Input::Shutdown => connection.shutdown(now),
            Input::Close => connection.close(now),
            Input::Abort => connection.abort(now),
            Input::Wait(micros) => self.now += Duration::from_micros(u64::from(*micros)),
            Input::Timeout => {
                if let Some(wakeup) = connection.poll_timeout() {
                    self.now = wakeup.at.max(now);
                }
            }
        }
        self.connection.handle_timeout(self.now);
    }

    /// Drains everything and checks what must always hold.
    fn settle(&mut self) {
        let mut sent = 0;
        while let Some(segment) = self.connection.poll_transmit(self.now) {
            sent += 1;
            assert!(sent < 2000, "it never stops sending");
            let header = &segment.header;
            let is_syn = header.flags.syn();
            // RFC 9293 §3.7.1 MUST-65
            assert_eq!(header.options.mss.is_some(), is_syn, "MSS belongs on SYN segments alone");
            // RFC 9293 §3.8.5 SHLD-13
            assert!(!header.flags.urg() || self.urgent_sent, "nothing of ours is urgent unless we say so");
            // RFC 7323 §3.2 7323-3a
            let may_lack = header.flags.rst() || !self.timestamps_agreed;
            assert!(header.options.timestamps.is_some() || may_lack, "timestamps were agreed on: {header:?}");
            if !header.flags.rst() {
                self.snd_nxt = self.snd_nxt.latest(header.seq + segment.len());
                if header.flags.ack() {
                    assert!(
                        self.rcv_nxt.is_none_or(|last| header.ack.at_or_after(last)),
                        "RCV.NXT went back"
                    );
                    self.rcv_nxt = Some(header.ack);
                }
            }
        }
        let info = self.connection.info(self.now);
        assert!(info.sacked + info.lost <= info.unacked && info.retrans <= info.lost, "{info:?}");
        assert!(info.bytes_acked <= info.bytes_sent && info.bytes_retrans <= info.bytes_sent, "{info:?}");
        assert!(info.rwnd_limited + info.sndbuf_limited <= info.busy_time, "{info:?}");
        assert!(info.to_string().ends_with(&format!("rcv_wnd:{}", info.rcv_wnd)));
        let open = !matches!(info.state, TcpState::Closed | TcpState::TimeWait);
        // RFC 6298 §5 6298-5d: whatever is outstanding has a timer
        if open && info.flight_bytes > 0 {
            assert!(self.connection.poll_timeout().is_some(), "{info:?}");
        }
        while let Some(event) = self.connection.poll_event() {
            assert!(!self.closed_seen, "{event:?} after the connection was closed");
            self.closed_seen = matches!(event, Event::Closed(_));
        }
        assert!(self.connection.poll_timeout().is_none_or(|wakeup| wakeup.at > self.now));
        self.connection.drain_trace().for_each(drop);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_input_breaks_a_connection(start in 0..5_u8, inputs in prop::collection::vec(input(), 1..60)) {
        let config = Arc::new(Config { receive_buffer_bytes: 50_000, ..Config::default() });
        let now = Instant::from_secs(5);
        let connection = begin(now, &config, start);
        let mut run = Run {
            connection,
            now,
            snd_nxt: SeqNum(ISS) + 1 + if start == FAST_CLIENT { SYN_DATA.len() as u32 } else { 0 },
            rcv_nxt: None,
            closed_seen: false,
            urgent_sent: false,
            timestamps_agreed: start != 0 && start != FAST_CLIENT,
        };
        for input in &inputs {
            run.apply(input);
            run.settle();
        }
    }
}
